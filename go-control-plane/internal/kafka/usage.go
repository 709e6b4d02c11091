package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"hybrid/control-plane/internal/backoff"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/outbox"
)

const (
	maxBatch  = 500
	batchWait = 20 * time.Millisecond
	// watchInterval is how often the log's end is asked for.
	watchInterval = 5 * time.Second
	// maxDeadLetter leaves room for the added headers within what a broker takes by default: a record that it refused would
	// stop the partition.
	maxDeadLetter = 1_000_000
)

// UsageConsumer books the records of the usage topic. The partitions are assigned by hand and the offsets are the ledger's,
// so the broker has no say in what was booked. One runs at a time; the caller sees to it.
type UsageConsumer struct {
	Broker Broker
	Topic  string
	// DeadLetterTopic gets the records that cannot be read.
	DeadLetterTopic string
	Book            ledger.Book
	// Parse reads a record's value; an error means that the record can never be booked.
	Parse    func(value []byte) (ledger.Window, error)
	Producer outbox.Publisher
	// Healthy is told when consuming works, with nil, and when it begins to fail, with the reason.
	Healthy func(error)
	Log     *slog.Logger

	// Patience is how long a log must be shorter than what was booked from it before that is believed.
	Patience time.Duration
	// short is since when a partition's log is.
	short map[int32]time.Time

	records, entries, deadLetters, lag atomic.Int64
}

// UsageStats counts what a consumer has done.
type UsageStats struct {
	Records, Entries, DeadLetters int64
	// Lag is how many offsets the ledger is behind the topic, as last seen.
	Lag int64
}

// Stats gives the counts.
func (u *UsageConsumer) Stats() UsageStats {
	return UsageStats{u.records.Load(), u.entries.Load(), u.deadLetters.Load(), u.lag.Load()}
}

// Run consumes until ctx is done. Failures of the broker and of the ledger are retried with backoff from where the ledger
// stands.
func (u *UsageConsumer) Run(ctx context.Context) error {
	var pace backoff.Backoff
	failing := false
	for {
		err := u.consume(ctx, func() {
			if failing {
				u.Log.InfoContext(ctx, "usage is consumed again")
				failing = false
			}
			u.Healthy(nil)
			pace.Reset()
		})
		if ctx.Err() != nil {
			return nil
		}
		if !failing {
			u.Log.WarnContext(ctx, "usage cannot be consumed; going on from the ledger's offsets", "error", err)
			u.Healthy(err)
			failing = true
		}
		if pace.Wait(ctx) != nil {
			return nil
		}
	}
}

func (u *UsageConsumer) consume(ctx context.Context, healthy func()) error {
	client, err := sarama.NewClient(u.Broker.Addresses, u.Broker.config())
	if err != nil {
		return err
	}
	defer client.Close()
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	partitions, err := client.Partitions(u.Topic)
	if err != nil {
		return err
	}
	next, err := u.Book.NextOffsets(ctx, u.Topic)
	if err != nil {
		return err
	}

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	merged := make(chan *sarama.ConsumerMessage)
	var assigned []sarama.PartitionConsumer
	defer func() {
		stop(nil)
		for _, p := range assigned {
			p.AsyncClose()
		}
		for _, p := range assigned {
			for range p.Messages() {
			}
		}
	}()
	for _, partition := range partitions {
		offset, err := u.start(ctx, client, partition, next)
		if err != nil {
			return err
		}
		p, err := consumer.ConsumePartition(u.Topic, partition, offset)
		if err != nil {
			return fmt.Errorf("partition %d at offset %d: %w", partition, offset, err)
		}
		assigned = append(assigned, p)
		go forward(ctx, p, merged, stop)
	}
	positions := make([]atomic.Int64, len(partitions))
	for slot, partition := range partitions {
		positions[slot].Store(next[partition])
	}
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		u.watch(ctx, client, partitions, positions, stop)
	}()
	defer func() {
		stop(nil)
		<-watching
	}()
	healthy()
	for {
		batch, err := u.gather(ctx, merged)
		if err != nil {
			return err
		}
		if err := u.book(ctx, batch); err != nil {
			return err
		}
		for _, m := range batch {
			if slot := slices.Index(partitions, m.Partition); slot >= 0 {
				positions[slot].Store(m.Offset + 1)
			}
		}
	}
}

// start is the offset to begin with. A log that ends before the ledger's offset has lost records: all of them, when it is
// empty or kept in memory; else those at its end, which were booked. New ones then take the offsets of the lost ones.
func (u *UsageConsumer) start(ctx context.Context, client sarama.Client, partition int32, next map[int32]int64) (int64, error) {
	offset, known := next[partition]
	if !known {
		return sarama.OffsetOldest, nil
	}
	newest, err := client.GetOffset(u.Topic, partition, sarama.OffsetNewest)
	if err != nil {
		return 0, err
	}
	if newest >= offset {
		delete(u.short, partition)
		return u.unlessDeleted(ctx, client, partition, offset)
	}
	// A broker that has just started may not know yet where its log ends.
	if u.short == nil {
		u.short = map[int32]time.Time{}
	}
	since, seen := u.short[partition]
	if !seen {
		since = time.Now()
		u.short[partition] = since
	}
	if time.Since(since) < u.Patience {
		return 0, fmt.Errorf("partition %d ends at offset %d, and was booked up to %d", partition, newest, offset)
	}
	delete(u.short, partition)
	from := newest
	if u.Broker.StandIn {
		from = 0
	}
	u.Log.ErrorContext(ctx, "the broker has lost records that were booked; the ledger keeps them, and goes on with what is in the log",
		"topic", u.Topic, "partition", partition, "booked_up_to", offset, "log_end", newest, "going_on_from", from)
	return from, u.Book.Retire(ctx, u.Topic, partition, from)
}

// unlessDeleted is the offset, or the oldest there is when the log was cleaned past it.
func (u *UsageConsumer) unlessDeleted(ctx context.Context, client sarama.Client, partition int32, offset int64) (int64, error) {
	oldest, err := client.GetOffset(u.Topic, partition, sarama.OffsetOldest)
	if err != nil {
		return 0, err
	}
	if offset < oldest {
		u.Log.ErrorContext(ctx, "records were deleted from the log before they were booked",
			"topic", u.Topic, "partition", partition, "lost_from", offset, "lost_to", oldest)
		return oldest, nil
	}
	return offset, nil
}

// forward passes a partition's records on; what ends the partition ends the whole.
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

// gather waits for a record, and takes what else comes within a moment.
func (u *UsageConsumer) gather(ctx context.Context, merged <-chan *sarama.ConsumerMessage) ([]*sarama.ConsumerMessage, error) {
	var batch []*sarama.ConsumerMessage
	var moment <-chan time.Time
	for len(batch) < maxBatch {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case m := <-merged:
			if len(batch) == 0 {
				timer := time.NewTimer(batchWait)
				defer timer.Stop()
				moment = timer.C
			}
			batch = append(batch, m)
		case <-moment:
			return batch, nil
		}
	}
	return batch, nil
}

var tracer = otel.Tracer("hybrid/control-plane/kafka")

func (u *UsageConsumer) book(ctx context.Context, messages []*sarama.ConsumerMessage) (err error) {
	batch := ledger.Batch{Topic: u.Topic, Next: map[int32]int64{}}
	// Spans of the records; the statements of the transaction belong to the first that is sampled.
	work := ctx
	var spans []trace.Span
	defer func() {
		for _, s := range spans {
			if err != nil {
				s.RecordError(err)
				s.SetStatus(codes.Error, "not booked; to be retried")
			}
			s.End()
		}
	}()
	var dead []outbox.Message
	for _, m := range messages {
		batch.Next[m.Partition] = m.Offset + 1
		spanCtx, span := tracer.Start(otel.GetTextMapPropagator().Extract(ctx, headers(m.Headers)), "process "+u.Topic,
			trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
				attribute.String("messaging.system", "kafka"),
				attribute.String("messaging.operation.type", "process"),
				attribute.String("messaging.destination.name", u.Topic),
				attribute.String("messaging.destination.partition.id", strconv.Itoa(int(m.Partition))),
				attribute.Int64("messaging.kafka.offset", m.Offset)))
		spans = append(spans, span)
		if span.SpanContext().IsSampled() && !trace.SpanContextFromContext(work).IsSampled() {
			work = spanCtx
		}
		window, unreadable := u.Parse(m.Value)
		if unreadable != nil {
			span.SetStatus(codes.Error, unreadable.Error())
			u.Log.WarnContext(spanCtx, "a usage record cannot be read; it goes to the dead letters",
				"topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "reason", unreadable)
			dead = append(dead, u.deadLetter(m, unreadable))
			continue
		}
		batch.Records = append(batch.Records, ledger.Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Window: window})
	}
	// The offset moves only past what is safe elsewhere. After a crash in between, a dead letter may be there twice.
	if len(dead) > 0 {
		if _, err := u.Producer.Publish(ctx, dead); err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		u.deadLetters.Add(int64(len(dead)))
	}
	limited, cancel := context.WithTimeout(work, 30*time.Second)
	defer cancel()
	booked, err := u.Book.Apply(limited, batch)
	if err != nil {
		return err
	}
	u.records.Add(int64(booked.Records))
	u.entries.Add(int64(booked.Entries))
	for _, promotion := range booked.Exhausted {
		u.Log.InfoContext(work, "a promotion has reached its budget", "promotion_id", promotion)
	}
	return nil
}

func (u *UsageConsumer) deadLetter(m *sarama.ConsumerMessage, reason error) outbox.Message {
	dead := outbox.Message{Topic: u.DeadLetterTopic, Key: m.Key, Value: m.Value}
	if len(dead.Value) > maxDeadLetter {
		dead.Value = dead.Value[:maxDeadLetter]
		dead.Headers = append(dead.Headers, outbox.Header{Name: "dead-letter-truncated-from", Value: strconv.Itoa(len(m.Value))})
	}
	for _, h := range m.Headers {
		dead.Headers = append(dead.Headers, outbox.Header{Name: string(h.Key), Value: string(h.Value)})
	}
	dead.Headers = append(dead.Headers,
		outbox.Header{Name: "dead-letter-reason", Value: reason.Error()},
		outbox.Header{Name: "dead-letter-partition", Value: strconv.Itoa(int(m.Partition))},
		outbox.Header{Name: "dead-letter-offset", Value: strconv.FormatInt(m.Offset, 10)})
	return dead
}

// watch asks now and then where the log ends: that is the lag, and the sign that the broker is there. Without an answer
// consumption starts anew.
func (u *UsageConsumer) watch(ctx context.Context, client sarama.Client, partitions []int32, positions []atomic.Int64, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		var lag int64
		for slot, partition := range partitions {
			newest, err := client.GetOffset(u.Topic, partition, sarama.OffsetNewest)
			if err != nil {
				stop(err)
				return
			}
			lag += max(0, newest-positions[slot].Load())
		}
		u.lag.Store(lag)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// headers lets the propagator read a record's headers.
type headers []*sarama.RecordHeader

var _ propagation.TextMapCarrier = headers(nil)

func (h headers) Get(name string) string {
	for _, header := range h {
		if string(header.Key) == name {
			return string(header.Value)
		}
	}
	return ""
}

func (h headers) Set(string, string) {}

func (h headers) Keys() []string {
	names := make([]string, len(h))
	for i, header := range h {
		names[i] = string(header.Key)
	}
	return names
}
