package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/backoff"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/outbox"
)

const (
	maxBatch  = 500
	batchWait = 20 * time.Millisecond
	// idleWait is longer than the broker holds back an empty answer, so that an idle partition has been read within it.
	idleWait = time.Second
	// watchInterval is how often the end of the log, and its partitions, are requested.
	watchInterval = 3 * time.Second
)

// errOtherTopic ends a consumption that no longer reads the topic as it is; the next one begins at once.
var errOtherTopic = errors.New("the topic is another than before")

// UsageConsumer books the records of the usage topic. It assigns itself all partitions and starts at the ledger's positions; it
// uses no consumer group. A topic that was deleted and made anew is read from its beginning. The caller ensures that only one
// runs at a time.
type UsageConsumer struct {
	Broker Broker
	Topic  string
	// DeadLetterTopic receives the records that cannot be read.
	DeadLetterTopic string
	Book            ledger.Book
	// Parse reads a record's value; an error means that the record can never be booked.
	Parse func(value []byte) (ledger.Window, error)
	// Producer publishes the dead letters.
	Producer interface {
		Publish(ctx context.Context, messages []outbox.Message) (published int, err error)
	}
	// Healthy is called with nil after each success, and with the reason after each failure.
	Healthy func(error)
	// Lost is called with the reason when records are lost that were not booked; nothing brings them back.
	Lost func(reason string)
	Log  *slog.Logger
	// Watermark is kept unless it is nil.
	Watermark *Watermark

	// Patience is how long a partition's log must end before the ledger's offset until its records count as lost.
	Patience time.Duration
	// short holds, by partition, since when that is the case.
	short map[int32]time.Time
	// ends holds, by partition, the end of the log when it was last read; it is of the topic with the id endsOf.
	ends   map[int32]int64
	endsOf string
	// known has the ledger's offsets as this consumer knows them.
	known map[int32]int64

	records, entries, deadLetters, missing, lag atomic.Int64
}

// UsageStats counts what a consumer has done.
type UsageStats struct {
	Records, Entries, DeadLetters int64
	// Missing counts the offsets that are known to be lost before they were booked; markers of transactions are among them.
	Missing int64
	// Lag is the number of offsets between the next record to book and the end of the log, over all partitions; 0 when all is
	// booked.
	Lag int64
}

// Stats returns the current counts.
func (u *UsageConsumer) Stats() UsageStats {
	return UsageStats{u.records.Load(), u.entries.Load(), u.deadLetters.Load(), u.missing.Load(), u.lag.Load()}
}

// Run consumes until ctx is done. After a failure of the broker or of the ledger it starts again at the ledger's offsets,
// with backoff.
func (u *UsageConsumer) Run(ctx context.Context) error { return u.repeat(ctx, u.consume) }

func (u *UsageConsumer) repeat(ctx context.Context, consume func(ctx context.Context, succeeded func()) error) error {
	retry := backoff.Retry{Work: "usage consumption", Log: u.Log}
	for {
		err := consume(ctx, func() {
			retry.Succeeded(ctx)
			u.Healthy(nil)
		})
		if errors.Is(err, ledger.ErrOffsetWentBack) {
			u.Log.WarnContext(ctx, "the ledger is in an older state; what it has lost is booked again from the log", "reason", err.Error())
			continue
		}
		if errors.Is(err, errOtherTopic) {
			u.Log.InfoContext(ctx, "usage consumption starts again: "+err.Error(), "topic", u.Topic)
			continue
		}
		if ctx.Err() == nil {
			u.Healthy(err)
		}
		if retry.Failed(ctx, err) != nil {
			return nil
		}
	}
}

// consume books records until something fails or ctx is done. It calls succeeded after each batch that was booked, and now
// and then while there is nothing to book.
func (u *UsageConsumer) consume(ctx context.Context, succeeded func()) error {
	// Questions have connections of their own: a broker answers those of a connection in turn, and holds back the answer to one
	// for records until there are any.
	client, err := sarama.NewClient(u.Broker.Addresses, u.Broker.config())
	if err != nil {
		return err
	}
	defer client.Close()
	consumer, err := sarama.NewConsumer(u.Broker.Addresses, u.Broker.config())
	if err != nil {
		return err
	}
	defer consumer.Close()
	topicID, err := u.Broker.topicID(client, u.Topic)
	if err != nil {
		return err
	}
	partitions, err := client.Partitions(u.Topic)
	if err != nil {
		return err
	}
	next, err := u.Book.Positions(ctx, u.Topic)
	if err != nil {
		return err
	}

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	merged := make(chan *sarama.ConsumerMessage)
	var assigned []sarama.PartitionConsumer
	defer func() {
		for _, p := range assigned {
			p.AsyncClose()
		}
		for _, p := range assigned {
			for range p.Messages() {
			}
		}
	}()
	reached := map[int32]*progress{}
	for _, partition := range partitions {
		offset, err := u.start(ctx, client, partition, topicID, next)
		if err != nil {
			return err
		}
		reached[partition] = &progress{}
		reached[partition].position.Store(offset)
		p, err := consumer.ConsumePartition(u.Topic, partition, offset)
		if err != nil {
			return fmt.Errorf("partition %d at offset %d: %w", partition, offset, err)
		}
		assigned = append(assigned, p)
		go forward(ctx, p, merged, stop)
	}
	u.known = map[int32]int64{}
	for partition, at := range reached {
		if position, known := next[partition]; known {
			u.known[partition] = position.Offset
			at.booked.Store(position.Offset)
		}
	}
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		watcher{u, client, topicID, partitions, reached}.watch(ctx, stop)
	}()
	defer func() {
		stop(nil)
		<-watching
	}()
	for {
		batch, err := u.gather(ctx, merged)
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			// A topic's id never comes back: what was fetched before the broker names this one was fetched from it.
			if err := u.Broker.still(client, u.Topic, topicID); err != nil {
				return err
			}
			if err := u.bookAll(ctx, topicID, batch); err != nil {
				return err
			}
		}
		succeeded()
		for _, m := range batch {
			reached[m.Partition].pass(m.Offset)
		}
	}
}

// forward sends a partition's records to merged. When the partition's consumer ends, it stops all of them.
func forward(ctx context.Context, p sarama.PartitionConsumer, merged chan<- *sarama.ConsumerMessage, stop context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-p.Messages():
			if !ok {
				stop(errors.New("the partition's consumer ended"))
				return
			}
			select {
			case merged <- m:
			case <-ctx.Done():
				return
			}
		}
	}
}

// gather waits for a record and collects those that follow within batchWait. The batch is empty if none arrives within
// idleWait.
func (u *UsageConsumer) gather(ctx context.Context, merged <-chan *sarama.ConsumerMessage) ([]*sarama.ConsumerMessage, error) {
	var batch []*sarama.ConsumerMessage
	timer := time.NewTimer(idleWait)
	for len(batch) < maxBatch {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case m := <-merged:
			if len(batch) == 0 {
				timer.Reset(batchWait)
			}
			batch = append(batch, m)
		case <-timer.C:
			return batch, nil
		}
	}
	return batch, nil
}
