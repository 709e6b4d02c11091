package kafka

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/outbox"
)

// book takes what it is given, or fails.
type book struct {
	ledger.Book
	applied []ledger.Batch
	err     error
}

func (b *book) Apply(_ context.Context, batch ledger.Batch) (ledger.Booked, error) {
	if b.err != nil {
		return ledger.Booked{}, b.err
	}
	b.applied = append(b.applied, batch)
	return ledger.Booked{Records: len(batch.Records)}, nil
}

// publisher takes what it is given, or fails.
type publisher struct {
	published []outbox.Message
	err       error
}

func (p *publisher) Publish(_ context.Context, messages []outbox.Message) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	p.published = append(p.published, messages...)
	return len(messages), nil
}

func message(partition int32, offset int64, value string) *sarama.ConsumerMessage {
	return &sarama.ConsumerMessage{Topic: "usage", Partition: partition, Offset: offset, Value: []byte(value),
		Headers: []*sarama.RecordHeader{{Key: []byte("ce_id"), Value: []byte("1")}}}
}

func consumer(b *book, p *publisher) *UsageConsumer {
	return &UsageConsumer{
		Topic: "usage", DeadLetterTopic: "usage.dead-letter", Book: b, Producer: p, Log: slog.New(slog.DiscardHandler),
		Parse: func(value []byte) (ledger.Window, error) {
			if string(value[:1]) == "x" {
				return ledger.Window{}, errors.New("poison")
			}
			return ledger.Window{Currency: string(value)}, nil
		},
	}
}

func TestPoisonDoesNotStopThePartition(t *testing.T) {
	b, p := &book{}, &publisher{}
	u := consumer(b, p)
	large := string(append([]byte("x"), make([]byte, 2*maxDeadLetter)...))
	err := u.book(context.Background(), []*sarama.ConsumerMessage{message(0, 4, "EUR"), message(0, 7, "x"), message(1, 2, large), message(0, 8, "USD")})
	if err != nil {
		t.Fatal(err)
	}
	batch := b.applied[0]
	if len(batch.Records) != 2 || batch.Records[1].Offset != 8 || batch.Next[0] != 9 || batch.Next[1] != 3 {
		t.Errorf("booked %+v", batch)
	}
	if len(p.published) != 2 || u.Stats().DeadLetters != 2 {
		t.Fatalf("%d dead letters", len(p.published))
	}
	names := map[string]string{}
	for _, h := range p.published[0].Headers {
		names[h.Name] = h.Value
	}
	if names["ce_id"] != "1" || names["dead-letter-reason"] != "poison" || names["dead-letter-partition"] != "0" || names["dead-letter-offset"] != "7" {
		t.Errorf("headers %v", names)
	}
	if n := len(p.published[1].Value); n != maxDeadLetter {
		t.Errorf("a dead letter of %d bytes", n)
	}
}

func TestOffsetsWaitForDeadLetters(t *testing.T) {
	b := &book{}
	u := consumer(b, &publisher{err: errors.New("away")})
	if err := u.book(context.Background(), []*sarama.ConsumerMessage{message(0, 7, "x")}); err == nil || len(b.applied) != 0 {
		t.Errorf("%v, booked %v", err, b.applied)
	}
}

func TestFailedBookingIsAnError(t *testing.T) {
	u := consumer(&book{err: errors.New("away")}, &publisher{})
	if err := u.book(context.Background(), []*sarama.ConsumerMessage{message(0, 7, "EUR")}); err == nil || u.Stats().Records != 0 {
		t.Errorf("%v, %+v", err, u.Stats())
	}
}
