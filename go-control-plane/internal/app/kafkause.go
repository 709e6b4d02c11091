package app

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// kafkaUse collects what the parts of the control plane cannot do with Kafka. That is the detail of a task of readiness, but
// does not reopen it: the catalog and the nodes do not depend on Kafka.
type kafkaUse struct {
	// report is called with the whole detail after each change.
	report func(detail string)

	mu sync.Mutex
	// outages holds, by part, why it cannot use Kafka at present, losses the last thing that it has lost for good.
	outages, losses map[string]string
}

// healthy returns a function that notes whether a part can use Kafka.
func (k *kafkaUse) healthy(part string) func(error) {
	return func(err error) {
		if err == nil {
			k.note(&k.outages, part, "")
		} else {
			k.note(&k.outages, part, err.Error())
		}
	}
}

// lost returns a function that notes what a part has lost. It stays noted for the life of the process.
func (k *kafkaUse) lost(part string) func(reason string) {
	return func(reason string) { k.note(&k.losses, part, reason) }
}

func (k *kafkaUse) note(notes *map[string]string, part, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if *notes == nil {
		*notes = map[string]string{}
	}
	if text == "" {
		delete(*notes, part)
	} else {
		(*notes)[part] = text
	}
	var details []string
	for _, kind := range []struct {
		verb  string
		notes map[string]string
	}{{" interrupted: ", k.outages}, {" lost records: ", k.losses}} {
		for _, part := range slices.Sorted(maps.Keys(kind.notes)) {
			details = append(details, part+kind.verb+kind.notes[part])
		}
	}
	k.report(strings.Join(details, "; "))
}
