package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/ledger"
)

// watcher looks at the log while it is consumed, to measure the lag and to notice what consumption itself does not: a broker
// that is away, added partitions, another topic of the same name, a ledger that went back.
type watcher struct {
	*UsageConsumer
	client     sarama.Client
	topicID    string
	partitions []int32
	// reached is how far each partition is.
	reached map[int32]*progress
}

// progress is how far a partition is: position is the next offset to book, as far as it is known, booked the ledger's offset.
type progress struct{ position, booked atomic.Int64 }

// pass notes that the record at an offset is booked.
func (p *progress) pass(offset int64) {
	p.position.Store(offset + 1)
	p.booked.Store(offset + 1)
}

// watch ends the consumption with stop when it must end.
func (w watcher) watch(ctx context.Context, stop context.CancelCauseFunc) {
	err := w.run(ctx)
	if ctx.Err() != nil {
		return
	}
	stop(err)
	// The partitions' consumers may take as long to end as the broker may to answer.
	if !errors.Is(err, errOtherTopic) && !errors.Is(err, ledger.ErrOffsetWentBack) {
		w.Healthy(err)
	}
}

// run watches until ctx is done. It returns an error when the consumption must end.
func (w watcher) run(ctx context.Context) error {
	var way climber
	tick := time.Tick(watchInterval)
	for {
		seen, err := within(ctx, answerTimeout, func() (sight, error) { return w.look(ctx) }, func(sight) {})
		if err != nil {
			return err
		}
		w.ends, w.endsOf = seen.ends, w.topicID
		w.lag.Store(seen.lag)
		if w.Watermark != nil {
			way.climb(ctx, w)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
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
	for _, partition := range w.partitions {
		newest, err := w.client.GetOffset(w.Topic, partition, sarama.OffsetNewest)
		if err != nil {
			return sight{}, err
		}
		ends[partition] = newest
		reached := &w.reached[partition].position
		position := reached.Load()
		if position < newest {
			next, err := w.skip(partition, position)
			if err != nil {
				return sight{}, err
			}
			// A record may have been booked meanwhile, whose offset is further.
			reached.CompareAndSwap(position, next)
			position = next
		}
		lag += max(0, newest-position)
	}
	// Asked last: the ends are those of this topic.
	if err := w.Broker.still(w.client, w.Topic, w.topicID); err != nil {
		return sight{}, err
	}
	return sight{ends, lag}, nil
}

// wentBack returns an error if the ledger has an offset before that which was booked. While the ledger's store is away, this
// tells nothing; what is booked then is compared again.
func (w watcher) wentBack(ctx context.Context) error {
	booked := map[int32]int64{}
	for partition, at := range w.reached {
		booked[partition] = at.booked.Load()
	}
	stored, err := w.Book.Positions(ctx, w.Topic)
	if err != nil {
		return nil
	}
	for partition, before := range booked {
		if now := stored[partition].Offset; now < before {
			return fmt.Errorf("partition %d was booked up to offset %d, and now to %d: %w", partition, before, now, ledger.ErrOffsetWentBack)
		}
	}
	return nil
}
