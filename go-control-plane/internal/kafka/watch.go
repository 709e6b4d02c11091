package kafka

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// watcher looks at the log while it is consumed, to measure the lag and to notice what consumption itself does not: a broker
// that is away, added partitions, another topic of the same name.
type watcher struct {
	*UsageConsumer
	client     sarama.Client
	topicID    string
	partitions []int32
	// positions are the next offsets to book, in the order of partitions.
	positions []atomic.Int64
}

// run watches until ctx is done. It returns an error when the consumption must end.
func (w watcher) run(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		if err := w.look(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (w watcher) look() error {
	if err := w.client.RefreshMetadata(w.Topic); err != nil {
		return err
	}
	if now, err := w.client.Partitions(w.Topic); err != nil || !slices.Equal(now, w.partitions) {
		return cmp.Or(err, errOtherTopic)
	}
	ends := map[int32]int64{}
	var lag int64
	for slot, partition := range w.partitions {
		newest, err := w.client.GetOffset(w.Topic, partition, sarama.OffsetNewest)
		if err != nil {
			return err
		}
		ends[partition] = newest
		position := w.positions[slot].Load()
		if position < newest {
			next, err := w.skip(partition, position)
			if err != nil {
				return err
			}
			// A record may have been booked meanwhile, whose offset is further.
			w.positions[slot].CompareAndSwap(position, next)
			position = next
		}
		lag += max(0, newest-position)
	}
	// Asked last: the ends are those of this topic.
	if now, err := w.Broker.topicID(w.client, w.Topic); err != nil || now != w.topicID {
		return cmp.Or(err, errOtherTopic)
	}
	w.ends, w.endsOf = ends, w.topicID
	w.lag.Store(lag)
	return nil
}
