package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/outbox"
)

// book takes what it is given, or fails.
type book struct {
	ledger.Book
	applied []ledger.Batch
	// exhausted are the promotions that each batch uses up.
	exhausted []string
	err       error
	// refused is the currency of records that it refuses for what they are.
	refused string
}

func (b *book) Apply(_ context.Context, batch ledger.Batch) (ledger.Booked, error) {
	if b.err != nil {
		return ledger.Booked{}, b.err
	}
	for _, r := range batch.Records {
		if r.Window.Currency == b.refused {
			return ledger.Booked{}, fmt.Errorf("%w: %s", ledger.ErrRefused, b.refused)
		}
	}
	b.applied = append(b.applied, batch)
	return ledger.Booked{Records: len(batch.Records), Entries: 3 * len(batch.Records), Exhausted: b.exhausted}, nil
}

// publisher takes what it is given, or fails.
type publisher struct {
	published []outbox.Message
	err       error
	// limit is the largest value that it takes, unless it is 0.
	limit int
}

func (p *publisher) Publish(_ context.Context, messages []outbox.Message) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	for n, m := range messages {
		if p.limit > 0 && len(m.Value) > p.limit {
			return n, &sarama.ProducerError{Err: sarama.ErrMessageSizeTooLarge}
		}
		p.published = append(p.published, m)
	}
	return len(messages), nil
}

func message(partition int32, offset int64, value string) *sarama.ConsumerMessage {
	return &sarama.ConsumerMessage{Topic: "usage", Partition: partition, Offset: offset, Value: []byte(value),
		Headers: []*sarama.RecordHeader{{Key: []byte("ce_id"), Value: []byte("1")}}}
}

func consumer(b *book, p *publisher) *UsageConsumer {
	return &UsageConsumer{
		Topic: "usage", DeadLetterTopic: "usage.dead-letter", Book: b, Producer: p, Log: slog.New(slog.DiscardHandler),
		Healthy: func(error) {}, Lost: func(string) {}, known: map[int32]int64{},
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
	large := string(append([]byte("x"), make([]byte, 2*maxDeadValue)...))
	err := u.bookAll(context.Background(), "", []*sarama.ConsumerMessage{message(0, 40, "EUR"), message(0, 70, "x"), message(1, 2, large), message(0, 80, "USD")})
	if err != nil {
		t.Fatal(err)
	}
	batch := b.applied[0]
	if len(batch.Records) != 2 || batch.Records[1].Offset != 80 || batch.Next[0] != 81 || batch.Next[1] != 3 {
		t.Errorf("booked %+v", batch)
	}
	if len(p.published) != 2 || u.Stats().DeadLetters != 2 {
		t.Fatalf("%d dead letters", len(p.published))
	}
	names := map[string]string{}
	for _, h := range p.published[0].Headers {
		names[h.Name] = h.Value
	}
	if names["ce_id"] != "1" || names["dead-letter-reason"] != "poison" || names["dead-letter-partition"] != "0" || names["dead-letter-offset"] != "70" {
		t.Errorf("headers %v", names)
	}
	if n := len(p.published[1].Value); n != maxDeadValue {
		t.Errorf("a dead letter of %d bytes", n)
	}
}

// A dead letter is within what a broker takes, whatever of the record or the reason is large.
func TestDeadLettersAreCut(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 600_000)
	for name, m := range map[string]*sarama.ConsumerMessage{
		"value":  {Value: large},
		"key":    {Key: large, Value: []byte("x")},
		"header": {Value: []byte("x"), Headers: []*sarama.RecordHeader{{Key: []byte("a"), Value: large}}},
		"reason": {Value: []byte("x")},
	} {
		dead := consumer(nil, nil).deadLetter(m, errors.New("currency "+string(large)))
		size, cut := len(dead.Key)+len(dead.Value), false
		for _, h := range dead.Headers {
			size += len(h.Name) + len(h.Value)
			cut = cut || h.Name == "dead-letter-truncated-from"
		}
		if size > 700_000 || cut != (name != "reason") {
			t.Errorf("%s: %d bytes, marked as cut: %t", name, size, cut)
		}
	}
}

// A record is processed in the trace of its headers, tracestate included, and a dead letter keeps both.
func TestRecordsCarryTheirTrace(t *testing.T) {
	spans := traced()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	var messages []*sarama.ConsumerMessage
	for offset, value := range []string{"EUR", "x"} {
		m := message(0, int64(offset), value)
		m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte("traceparent"), Value: []byte(parent)},
			&sarama.RecordHeader{Key: []byte("tracestate"), Value: []byte("a=1,b=2")})
		messages = append(messages, m)
	}
	p := &publisher{}
	if err := consumer(&book{}, p).bookAll(t.Context(), "", messages); err != nil {
		t.Fatal(err)
	}
	for _, s := range spans.GetSpans() {
		if s.Parent.SpanID().String() != parent[36:52] || s.SpanContext.TraceState().String() != "a=1,b=2" || s.Name != "process usage" {
			t.Errorf("%s in %v", s.Name, s.SpanContext)
		}
	}
	if n := len(spans.GetSpans()); n != 2 {
		t.Errorf("%d spans", n)
	}
	names := map[string]string{}
	for _, h := range p.published[0].Headers {
		names[h.Name] = h.Value
	}
	if names["traceparent"] != parent || names["tracestate"] != "a=1,b=2" {
		t.Errorf("headers of the dead letter: %v", names)
	}
}

// A record that cannot be read is reported when it is a dead letter, not at each attempt to make it one.
func TestUnreadableRecordsAreReportedOnce(t *testing.T) {
	var lines bytes.Buffer
	p := &publisher{err: errors.New("away")}
	u := consumer(&book{}, p)
	u.Log = slog.New(slog.NewTextHandler(&lines, nil))
	for range 3 {
		if err := u.bookAll(t.Context(), "", []*sarama.ConsumerMessage{message(0, 7, "x")}); err == nil {
			t.Fatal("booked without the dead letter")
		}
	}
	if lines.Len() != 0 {
		t.Errorf("lines:\n%s", lines.String())
	}
	p.err = nil
	if err := u.bookAll(t.Context(), "", []*sarama.ConsumerMessage{message(0, 7, "x")}); err != nil || strings.Count(lines.String(), "offset=7 reason=poison") != 1 {
		t.Errorf("%v, lines:\n%s", err, lines.String())
	}
}

func TestDeadLettersAreTruncatedAboveTheLimit(t *testing.T) {
	for _, c := range []struct {
		size, kept int
		truncated  string
	}{{maxDeadValue, maxDeadValue, ""}, {maxDeadValue + 1, maxDeadValue, "524289"}} {
		dead := consumer(nil, nil).deadLetter(message(0, 1, strings.Repeat("x", c.size)), errors.New("poison"))
		var truncated string
		for _, h := range dead.Headers {
			if h.Name == "dead-letter-truncated-from" {
				truncated = h.Value
			}
		}
		if len(dead.Value) != c.kept || truncated != c.truncated {
			t.Errorf("%d bytes: %d kept, truncated from %q", c.size, len(dead.Value), truncated)
		}
	}
}

// The ledger hears from which offset it is booked on.
func TestBatchesSayWhereTheyGoOn(t *testing.T) {
	b := &book{}
	u := consumer(b, &publisher{})
	u.known = map[int32]int64{0: 4}
	for _, batch := range [][]*sarama.ConsumerMessage{{message(0, 6, "EUR"), message(1, 2, "EUR")}, {message(0, 7, "EUR"), message(1, 3, "EUR")}} {
		if err := u.bookAll(t.Context(), "", batch); err != nil {
			t.Fatal(err)
		}
	}
	if from := b.applied[0].From; len(from) != 1 || from[0] != 4 {
		t.Errorf("first from %v", from)
	}
	if from := b.applied[1].From; len(from) != 2 || from[0] != 7 || from[1] != 3 {
		t.Errorf("then from %v", from)
	}
}

func TestOffsetsWaitForDeadLetters(t *testing.T) {
	b := &book{}
	u := consumer(b, &publisher{err: errors.New("away")})
	if err := u.bookAll(context.Background(), "", []*sarama.ConsumerMessage{message(0, 7, "x")}); err == nil || len(b.applied) != 0 {
		t.Errorf("%v, booked %v", err, b.applied)
	}
}

func TestFailedBookingIsAnError(t *testing.T) {
	u := consumer(&book{err: errors.New("away")}, &publisher{})
	if err := u.bookAll(context.Background(), "", []*sarama.ConsumerMessage{message(0, 7, "EUR")}); err == nil || u.Stats().Records != 0 {
		t.Errorf("%v, %+v", err, u.Stats())
	}
}

// A record that the ledger refuses for what it is becomes a dead letter, and those around it are booked.
func TestARefusedRecordIsSetAside(t *testing.T) {
	b, p := &book{refused: "ODD"}, &publisher{}
	u := consumer(b, p)
	messages := []*sarama.ConsumerMessage{message(0, 4, "EUR"), message(0, 5, "ODD"), message(0, 6, "USD")}
	if err := u.bookAll(t.Context(), "", messages); err != nil {
		t.Fatal(err)
	}
	var booked []string
	for _, batch := range b.applied {
		for _, r := range batch.Records {
			booked = append(booked, r.Window.Currency)
		}
	}
	if fmt.Sprint(booked) != "[EUR USD]" || b.applied[len(b.applied)-1].Next[0] != 7 || u.Stats().Records != 2 {
		t.Errorf("booked %v, %+v", b.applied, u.Stats())
	}
	if len(p.published) != 1 || string(p.published[0].Value) != "ODD" || u.Stats().DeadLetters != 1 {
		t.Errorf("dead letters %v", p.published)
	}
}

// A dead letter that the broker refuses goes without the record's own bytes; one that is refused even then is tried again.
func TestARefusedDeadLetterIsStripped(t *testing.T) {
	b, p := &book{}, &publisher{limit: 10}
	u := consumer(b, p)
	messages := []*sarama.ConsumerMessage{message(0, 4, "x small"), message(0, 5, "x is large, too large"), message(0, 6, "x small")}
	if err := u.bookAll(t.Context(), "", messages); err != nil {
		t.Fatal(err)
	}
	if len(p.published) != 3 || u.Stats().DeadLetters != 3 || b.applied[0].Next[0] != 7 {
		t.Fatalf("%d dead letters, %+v", len(p.published), u.Stats())
	}
	stripped := p.published[1]
	names := map[string]string{}
	for _, h := range stripped.Headers {
		names[h.Name] = h.Value
	}
	if len(stripped.Value) != 0 || stripped.Value == nil || len(names) != 4 || names["dead-letter-offset"] != "5" || names["dead-letter-truncated-from"] != "21" {
		t.Errorf("stripped to %q %v", stripped.Value, names)
	}
	p.err = sarama.ErrMessageSizeTooLarge
	if err := u.bookAll(t.Context(), "", messages[:1]); !errors.Is(err, sarama.ErrMessageSizeTooLarge) || len(b.applied) != 1 {
		t.Errorf("%v, booked %v", err, b.applied)
	}
}
