package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/outbox"
)

// bookTimeout is how long the ledger may take for a batch.
const bookTimeout = 30 * time.Second

var tracer = otel.Tracer("hybrid/control-plane/kafka")

// bookAll books records of the topic with this id. Where the ledger refuses one for what it is, each is booked alone, and one
// that is refused then becomes a dead letter. Whatever else fails is to be tried again.
func (u *UsageConsumer) bookAll(ctx context.Context, topicID string, messages []*sarama.ConsumerMessage) error {
	err := u.book(ctx, topicID, messages, nil)
	if !errors.Is(err, ledger.ErrRefused) {
		return err
	}
	for _, m := range messages {
		alone := []*sarama.ConsumerMessage{m}
		err := u.book(ctx, topicID, alone, nil)
		if errors.Is(err, ledger.ErrRefused) {
			err = u.book(ctx, topicID, alone, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// book books records in one transaction. With a reason they become dead letters instead.
func (u *UsageConsumer) book(ctx context.Context, topicID string, messages []*sarama.ConsumerMessage, reason error) (err error) {
	batch := ledger.Batch{Topic: u.Topic, TopicID: topicID, From: map[int32]int64{}, Next: map[int32]int64{}}
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
		spanCtx, span := tracer.Start(otel.GetTextMapPropagator().Extract(ctx, carrier(m.Headers)), "process "+u.Topic,
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
		if unusable := cmp.Or(unreadable, reason); unusable != nil {
			kind, line := "unreadable_record", "a usage record cannot be read; it was published as a dead letter"
			if unreadable == nil {
				kind, line = "refused_record", "the ledger refuses a usage record; it was published as a dead letter"
			}
			span.SetAttributes(attribute.String("error.type", kind))
			span.SetStatus(codes.Error, unusable.Error())
			dead = append(dead, u.deadLetter(m, unusable))
			report = append(report, func() {
				u.Log.WarnContext(spanCtx, line, "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "reason", unusable.Error())
			})
			continue
		}
		batch.Records = append(batch.Records, ledger.Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Window: window})
	}
	// The offset moves only past records that are safe elsewhere. After a crash in between, a dead letter is published twice.
	if err := u.publishDead(ctx, dead); err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	u.deadLetters.Add(int64(len(dead)))
	for _, line := range report {
		line()
	}
	limited, cancel := context.WithTimeout(work, bookTimeout)
	defer cancel()
	booked, err := u.Book.Apply(limited, batch)
	if err != nil {
		return err
	}
	maps.Copy(u.known, batch.Next)
	u.records.Add(int64(booked.Records))
	u.entries.Add(int64(booked.Entries))
	for _, promotion := range booked.Exhausted {
		u.Log.InfoContext(work, "a promotion has reached its budget", "promotion_id", promotion)
	}
	return nil
}

// carrier has the headers of a record for a propagator.
func carrier(headers []*sarama.RecordHeader) propagation.MapCarrier {
	c := propagation.MapCarrier{}
	for _, h := range headers {
		c.Set(string(h.Key), string(h.Value))
	}
	return c
}
