package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"hybrid/control-plane/internal/ledger"
)

// exporter has the spans of this package: its tracer belongs to the first provider that is set.
var exporter = sync.OnceValue(func() *tracetest.InMemoryExporter {
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return spans
})

// traced has the spans that end from now on.
func traced() *tracetest.InMemoryExporter {
	exporter().Reset()
	return exporter()
}

// in is a record whose headers carry a trace with this number.
func in(trace int, sampled bool, offset int64, value string) *sarama.ConsumerMessage {
	flags := 0
	if sampled {
		flags = 1
	}
	m := message(0, offset, value)
	m.Headers = append(m.Headers, &sarama.RecordHeader{Key: []byte("traceparent"), Value: fmt.Appendf(nil, "00-%032x-%016x-%02x", trace, 1, flags)})
	return m
}

// A span says what became of its record: booked, tried again, or a dead letter and why.
func TestSpansSayWhatBecameOfTheirRecord(t *testing.T) {
	for name, c := range map[string]struct {
		book      book
		value     string
		status    string
		errorType string
		events    int
	}{
		"booked":     {book{}, "EUR", "Unset", "", 0},
		"retried":    {book{err: errAway}, "EUR", "Error: not booked; to be retried", "_OTHER", 1},
		"unreadable": {book{}, "x", "Error: poison", "unreadable_record", 0},
		"refused":    {book{refused: "ODD"}, "ODD", "Error: ledger: a record is refused: ODD", "refused_record", 0},
	} {
		spans := traced()
		// Its error, if any, is that of the ledger, which other tests look at.
		_ = consumer(&c.book, &publisher{}).bookAll(t.Context(), "", []*sarama.ConsumerMessage{in(1, true, 4, c.value)})
		ended := spans.GetSpans()
		last := ended[len(ended)-1]
		status := strings.TrimSuffix(last.Status.Code.String()+": "+last.Status.Description, ": ")
		errorType := ""
		for _, a := range last.Attributes {
			if a.Key == "error.type" {
				errorType = a.Value.AsString()
			}
		}
		if status != c.status || errorType != c.errorType || len(last.Events) != c.events {
			t.Errorf("%s: %s, error.type %q, %d events", name, status, errorType, len(last.Events))
		}
	}
}

// within which trace, and until when, a ledger is asked to book.
type asked struct {
	ledger.Book
	trace api.TraceID
}

func (a *asked) Apply(ctx context.Context, _ ledger.Batch) (ledger.Booked, error) {
	a.trace = api.SpanContextFromContext(ctx).TraceID()
	return ledger.Booked{}, nil
}

// The statements of a batch's transaction are in the trace of its first record that is sampled.
func TestATransactionIsInTheFirstSampledTrace(t *testing.T) {
	for name, c := range map[string]struct {
		records []*sarama.ConsumerMessage
		trace   int
	}{
		"first":  {[]*sarama.ConsumerMessage{in(7, true, 1, "EUR"), in(8, true, 2, "EUR")}, 7},
		"second": {[]*sarama.ConsumerMessage{in(7, false, 1, "EUR"), in(8, true, 2, "EUR"), in(9, true, 3, "EUR")}, 8},
		"none":   {[]*sarama.ConsumerMessage{in(7, false, 1, "EUR")}, 0},
	} {
		traced()
		a := &asked{}
		u := consumer(nil, nil)
		u.Book = a
		if err := u.bookAll(t.Context(), "", c.records); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%032x", c.trace); a.trace.String() != want {
			t.Errorf("%s: in %s, want %s", name, a.trace, want)
		}
	}
}

// hanging is a ledger that never answers.
type hanging struct{ ledger.Book }

func (hanging) Apply(ctx context.Context, _ ledger.Batch) (ledger.Booked, error) {
	<-ctx.Done()
	return ledger.Booked{}, ctx.Err()
}

// A ledger that does not answer does not hold up consumption for ever: after a while the batch is tried again.
func TestALedgerThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := consumer(nil, nil)
		u.Book = hanging{}
		began := time.Now()
		err := u.bookAll(t.Context(), "", []*sarama.ConsumerMessage{message(0, 4, "EUR")})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A promotion that has reached its budget is one line. Records, and what they were split into, are counted.
func TestAnExhaustedPromotionIsReported(t *testing.T) {
	var lines bytes.Buffer
	u := consumer(&book{exhausted: []string{"ten", "five"}}, &publisher{})
	u.Log = slog.New(slog.NewTextHandler(&lines, nil))
	if err := u.bookAll(t.Context(), "", []*sarama.ConsumerMessage{message(0, 4, "EUR"), message(0, 5, "EUR")}); err != nil {
		t.Fatal(err)
	}
	text := lines.String()
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, "promotion_id=ten") || !strings.Contains(text, "promotion_id=five") {
		t.Errorf("lines:\n%s", text)
	}
	if got := u.Stats(); got.Records != 2 || got.Entries != 6 {
		t.Errorf("stats %+v", got)
	}
}

// A dead letter's line says whether it could not be read or was refused.
func TestADeadLettersLineSaysWhy(t *testing.T) {
	for value, want := range map[string]string{"x": "cannot be read", "ODD": "the ledger refuses"} {
		var lines bytes.Buffer
		u := consumer(&book{refused: "ODD"}, &publisher{})
		u.Log = slog.New(slog.NewTextHandler(&lines, nil))
		if err := u.bookAll(t.Context(), "", []*sarama.ConsumerMessage{message(0, 4, value)}); err != nil {
			t.Fatal(err)
		}
		if text := lines.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: lines:\n%s", value, text)
		}
	}
}

// failing is a ledger that refuses the first batch, and fails for another reason with the next one.
type failing struct {
	book
	batches int
}

func (f *failing) Apply(ctx context.Context, b ledger.Batch) (ledger.Booked, error) {
	f.batches++
	switch f.batches {
	case 1:
		return ledger.Booked{}, ledger.ErrRefused
	case 2:
		return ledger.Booked{}, errAway
	}
	return f.book.Apply(ctx, b)
}

// A ledger that fails while records are booked alone ends it there: none is passed over, and none is a dead letter for that.
func TestARecordThatCannotBeBookedAloneIsNotPassedOver(t *testing.T) {
	f, p := &failing{}, &publisher{}
	u := consumer(nil, p)
	u.Book = f
	err := u.bookAll(t.Context(), "", []*sarama.ConsumerMessage{message(0, 4, "EUR"), message(0, 5, "EUR")})
	if !errors.Is(err, errAway) || len(f.applied) != 0 || len(p.published) != 0 {
		t.Errorf("%v, booked %v, dead letters %v", err, f.applied, p.published)
	}
}
