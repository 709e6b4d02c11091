package kafka

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/ledger"
)

// toldFailures is how many failures in a row are worth a line. Metering's group has no coordinator for a moment at first.
const toldFailures = 3

// watcher looks at the log while it is consumed, to measure the lag and to notice what consumption itself does not: a broker
// that is away, added partitions, another topic of the same name, a ledger that went back.
type watcher struct {
	*UsageConsumer
	client     sarama.Client
	topicID    string
	partitions []int32
	// positions are the next offsets to book, in the order of partitions; those in booked are the ledger's.
	positions, booked []atomic.Int64
}

// run watches until ctx is done. It returns an error when the consumption must end.
func (w watcher) run(ctx context.Context) error {
	var next ascent
	failures := 0
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		seen, err := within(ctx, answerTimeout, func() (sight, error) { return w.look(ctx) }, func(sight) {})
		if err != nil {
			return err
		}
		w.ends, w.endsOf = seen.ends, w.topicID
		w.lag.Store(seen.lag)
		if w.Watermark != nil {
			now, err := within(ctx, answerTimeout, func() (ascent, error) {
				return w.Watermark.climb(ctx, w.client, next, w.Topic, w.reached())
			}, func(ascent) {})
			switch {
			case err == nil:
				if next = now; failures >= toldFailures {
					w.Log.InfoContext(ctx, "the ledger is compared with the quotes again")
				}
				failures = 0
			case ctx.Err() == nil:
				if failures++; failures == toldFailures {
					w.Log.WarnContext(ctx, "the ledger cannot be compared with the quotes, so nodes will end discounts", "error", err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// reached returns the next offset to book of each partition.
func (w watcher) reached() map[int32]int64 {
	reached := map[int32]int64{}
	for slot, partition := range w.partitions {
		reached[partition] = w.positions[slot].Load()
	}
	return reached
}

// sight is what a look at the log has shown.
type sight struct {
	// ends are the ends of the partitions, lag is how far they are from what is booked.
	ends map[int32]int64
	lag  int64
}

func (w watcher) look(ctx context.Context) (sight, error) {
	if err := w.client.RefreshMetadata(w.Topic); err != nil {
		return sight{}, err
	}
	if now, err := w.client.Partitions(w.Topic); err != nil || !slices.Equal(now, w.partitions) {
		return sight{}, cmp.Or(err, errOtherTopic)
	}
	if err := w.wentBack(ctx); err != nil {
		return sight{}, err
	}
	ends := map[int32]int64{}
	var lag int64
	for slot, partition := range w.partitions {
		newest, err := w.client.GetOffset(w.Topic, partition, sarama.OffsetNewest)
		if err != nil {
			return sight{}, err
		}
		ends[partition] = newest
		position := w.positions[slot].Load()
		if position < newest {
			next, err := w.skip(partition, position)
			if err != nil {
				return sight{}, err
			}
			// A record may have been booked meanwhile, whose offset is further.
			w.positions[slot].CompareAndSwap(position, next)
			position = next
		}
		lag += max(0, newest-position)
	}
	// Asked last: the ends are those of this topic.
	if now, err := w.Broker.topicID(w.client, w.Topic); err != nil || now != w.topicID {
		return sight{}, cmp.Or(err, errOtherTopic)
	}
	return sight{ends, lag}, nil
}

// wentBack returns an error if the ledger has an offset before that which was booked. While the ledger's store is away, this
// tells nothing; what is booked then is compared again.
func (w watcher) wentBack(ctx context.Context) error {
	booked := make([]int64, len(w.booked))
	for slot := range w.booked {
		booked[slot] = w.booked[slot].Load()
	}
	stored, err := w.Book.Positions(ctx, w.Topic)
	if err != nil {
		return nil
	}
	for slot, partition := range w.partitions {
		if now := stored[partition].Offset; now < booked[slot] {
			return fmt.Errorf("partition %d was booked up to offset %d, and now to %d: %w", partition, booked[slot], now, ledger.ErrOffsetWentBack)
		}
	}
	return nil
}
