package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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
	// idleWait is longer than the broker holds back an empty answer, so that an idle partition has been read within it.
	idleWait = time.Second
	// watchInterval is how often the end of the log, and its partitions, are requested.
	watchInterval = 5 * time.Second
)

// A dead letter with all of these is within what brokers and producers take by default, about 1 MB: one that the broker
// refuses would stop the partition.
const (
	maxDeadValue   = 512 << 10
	maxDeadKey     = 64 << 10
	maxDeadHeaders = 64 << 10
	maxDeadReason  = 1 << 10
)

// errRepartitioned ends a consumption whose topic has other partitions than it reads.
var errRepartitioned = errors.New("the topic has other partitions than before")

// UsageConsumer books the records of the usage topic. It assigns itself all partitions and starts at the ledger's offsets; it
// uses no consumer group. The caller ensures that only one runs at a time.
type UsageConsumer struct {
	Broker Broker
	Topic  string
	// DeadLetterTopic receives the records that cannot be read.
	DeadLetterTopic string
	Book            ledger.Book
	// Parse reads a record's value; an error means that the record can never be booked.
	Parse    func(value []byte) (ledger.Window, error)
	Producer outbox.Publisher
	// Healthy is called with nil after each success, and with the reason after each failure.
	Healthy func(error)
	Log     *slog.Logger

	// Patience is how long a partition's log must end before the ledger's offset until its records count as lost.
	Patience time.Duration
	// short holds, by partition, since when that is the case.
	short map[int32]time.Time
	// known has the ledger's offsets as this consumer knows them.
	known map[int32]int64

	records, entries, deadLetters, lag atomic.Int64
}

// UsageStats counts what a consumer has done.
type UsageStats struct {
	Records, Entries, DeadLetters int64
	// Lag is the number of offsets between the last booked record and the end of the log, over all partitions. The markers
	// of transactions take offsets too, so it need not reach 0.
	Lag int64
}

// Stats returns the current counts.
func (u *UsageConsumer) Stats() UsageStats {
	return UsageStats{u.records.Load(), u.entries.Load(), u.deadLetters.Load(), u.lag.Load()}
}

// Run consumes until ctx is done. After a failure of the broker or of the ledger it starts again at the ledger's offsets,
// with backoff.
func (u *UsageConsumer) Run(ctx context.Context) error {
	retry := backoff.Retry{Work: "usage consumption", Log: u.Log}
	for {
		err := u.consume(ctx, func() {
			retry.Succeeded(ctx)
			u.Healthy(nil)
		})
		if errors.Is(err, ledger.ErrOffsetWentBack) {
			u.Log.WarnContext(ctx, "the ledger is in an older state; what it has lost is booked again from the log", "reason", err.Error())
			continue
		}
		if errors.Is(err, errRepartitioned) {
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
	u.known = next
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
	for {
		batch, err := u.gather(ctx, merged)
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			if err := u.book(ctx, batch); err != nil {
				return err
			}
		}
		succeeded()
		for _, m := range batch {
			if slot := slices.Index(partitions, m.Partition); slot >= 0 {
				positions[slot].Store(m.Offset + 1)
			}
		}
	}
}

// start returns the offset to start at. A log that ends before the ledger's offset has lost records: all of them if it is
// empty or kept in memory, else those at its end, which were booked. New records then reuse the offsets of the lost ones.
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
	// A broker that has just started may not know the end of its log yet.
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
	u.Log.ErrorContext(ctx, "the broker lost records that were booked; the ledger keeps them and continues with the records in the log",
		"topic", u.Topic, "partition", partition, "booked_up_to", offset, "log_end", newest, "continue_at", from)
	next[partition] = from
	return from, u.Book.Retire(ctx, u.Topic, partition, from)
}

// unlessDeleted returns offset, or the oldest offset of the log if retention has deleted more than that.
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
	defer timer.Stop()
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

var tracer = otel.Tracer("hybrid/control-plane/kafka")

func (u *UsageConsumer) book(ctx context.Context, messages []*sarama.ConsumerMessage) (err error) {
	batch := ledger.Batch{Topic: u.Topic, From: map[int32]int64{}, Next: map[int32]int64{}}
	// Each record has a span. The statements of the transaction belong to the first one that is sampled.
	work := ctx
	var spans []trace.Span
	defer func() {
		for _, s := range spans {
			if err != nil {
				s.RecordError(err)
				s.SetAttributes(attribute.String("error.type", "_OTHER"))
				s.SetStatus(codes.Error, "not booked; to be retried")
			}
			s.End()
		}
	}()
	var dead []outbox.Message
	var report []func()
	for _, m := range messages {
		batch.Next[m.Partition] = m.Offset + 1
		if offset, known := u.known[m.Partition]; known {
			batch.From[m.Partition] = offset
		}
		spanCtx, span := tracer.Start(otel.GetTextMapPropagator().Extract(ctx, headers(m.Headers)), "process "+u.Topic,
			trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
				attribute.String("messaging.system", "kafka"),
				attribute.String("messaging.operation.name", "process"),
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
			span.SetAttributes(attribute.String("error.type", "unreadable_record"))
			span.SetStatus(codes.Error, unreadable.Error())
			dead = append(dead, u.deadLetter(m, unreadable))
			report = append(report, func() {
				u.Log.WarnContext(spanCtx, "a usage record cannot be read; it was published as a dead letter",
					"topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "reason", unreadable.Error())
			})
			continue
		}
		batch.Records = append(batch.Records, ledger.Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Window: window})
	}
	// The offset moves only past records that are safe elsewhere. After a crash in between, a dead letter is published twice.
	if len(dead) > 0 {
		if _, err := u.Producer.Publish(ctx, dead); err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		u.deadLetters.Add(int64(len(dead)))
		for _, line := range report {
			line()
		}
	}
	limited, cancel := context.WithTimeout(work, 30*time.Second)
	defer cancel()
	booked, err := u.Book.Apply(limited, batch)
	if err != nil {
		return err
	}
	if u.known == nil {
		u.known = map[int32]int64{}
	}
	maps.Copy(u.known, batch.Next)
	u.records.Add(int64(booked.Records))
	u.entries.Add(int64(booked.Entries))
	for _, promotion := range booked.Exhausted {
		u.Log.InfoContext(work, "a promotion has reached its budget", "promotion_id", promotion)
	}
	return nil
}

// deadLetter is the record with headers that say why and where it came from. What is too long is cut, and a header says how
// long it was.
func (u *UsageConsumer) deadLetter(m *sarama.ConsumerMessage, reason error) outbox.Message {
	dead := outbox.Message{Topic: u.DeadLetterTopic, Key: first(m.Key, maxDeadKey), Value: first(m.Value, maxDeadValue)}
	size := 0
	for _, h := range m.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if size <= maxDeadHeaders {
		for _, h := range m.Headers {
			dead.Headers = append(dead.Headers, outbox.Header{Name: string(h.Key), Value: string(h.Value)})
		}
	}
	if size > maxDeadHeaders || len(dead.Key) < len(m.Key) || len(dead.Value) < len(m.Value) {
		dead.Headers = append(dead.Headers, outbox.Header{Name: "dead-letter-truncated-from", Value: strconv.Itoa(len(m.Key) + len(m.Value))})
	}
	dead.Headers = append(dead.Headers,
		outbox.Header{Name: "dead-letter-reason", Value: string(first([]byte(reason.Error()), maxDeadReason))},
		outbox.Header{Name: "dead-letter-partition", Value: strconv.Itoa(int(m.Partition))},
		outbox.Header{Name: "dead-letter-offset", Value: strconv.FormatInt(m.Offset, 10)})
	return dead
}

func first(b []byte, limit int) []byte {
	return b[:min(len(b), limit)]
}

// watch requests the end of the log and the ledger's offsets at intervals, to measure the lag, and to notice a broker that is
// away, added partitions, and a ledger that went back: with these it stops the consumption.
func (u *UsageConsumer) watch(ctx context.Context, client sarama.Client, partitions []int32, positions []atomic.Int64, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		if err := client.RefreshMetadata(u.Topic); err != nil {
			stop(err)
			return
		}
		if now, err := client.Partitions(u.Topic); err != nil || !slices.Equal(now, partitions) {
			stop(cmp.Or(err, errRepartitioned))
			return
		}
		// While the ledger's store is away, this tells nothing; what is booked then is compared again.
		behind := u.wentBack(ctx, partitions, positions)
		if behind != nil {
			stop(behind)
			return
		}
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

// wentBack returns an error if the ledger has an offset before that which was booked.
func (u *UsageConsumer) wentBack(ctx context.Context, partitions []int32, positions []atomic.Int64) error {
	booked := make([]int64, len(positions))
	for slot := range positions {
		booked[slot] = positions[slot].Load()
	}
	stored, err := u.Book.NextOffsets(ctx, u.Topic)
	if err != nil {
		return nil
	}
	for slot, partition := range partitions {
		if stored[partition] < booked[slot] {
			return fmt.Errorf("partition %d was booked up to offset %d, and now to %d: %w", partition, booked[slot], stored[partition], ledger.ErrOffsetWentBack)
		}
	}
	return nil
}

// headers is the headers of a record as a carrier for a propagator, which only reads them.
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
