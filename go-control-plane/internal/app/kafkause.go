package app

import (
	"sync"

	"hybrid/control-plane/internal/readiness"
)

// kafkaUse keeps the tasks of readiness for what the control plane does with Kafka. While one of them stands still the process
// is degraded and serves all the same: the catalog and the nodes do not depend on Kafka.
type kafkaUse struct {
	ready *readiness.Readiness

	mu sync.Mutex
	// losses holds, by task, the last thing that it has lost for good.
	losses map[string]string
}

// healthy returns a function that notes whether a task goes on.
func (k *kafkaUse) healthy(task string) func(error) {
	return func(err error) {
		if err != nil {
			k.ready.Degrade(task, err.Error())
		} else {
			k.ready.Complete(task, k.loss(task))
		}
	}
}

// lost returns a function that notes what a task has lost. It stays its detail for the life of the process, which goes on
// without it.
func (k *kafkaUse) lost(task string) func(reason string) {
	return func(reason string) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.losses == nil {
			k.losses = map[string]string{}
		}
		k.losses[task] = "lost records: " + reason
	}
}

func (k *kafkaUse) loss(task string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.losses[task]
}
