package metering

import (
	"math"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/twins/internal/cloudevent"
)

func quote(second int64, jurisdiction string, lines ...*pricingv1.PricedLine) *pricingv1.QuoteResponse {
	q := &pricingv1.QuoteResponse{
		QuoteId: "q", PricedAt: &timestamppb.Timestamp{Seconds: second}, CurrencyCode: "EUR", Jurisdiction: jurisdiction, Lines: lines,
	}
	for _, l := range lines {
		q.DiscountMinor += l.GetDiscountMinor()
		q.NetMinor += l.GetNetMinor()
		q.TaxMinor += l.GetTaxMinor()
		q.GrossMinor += l.GetGrossMinor()
	}
	return q
}

func line(sku string, quantity, net int64) *pricingv1.PricedLine {
	return &pricingv1.PricedLine{Sku: sku, Quantity: quantity, NetMinor: net, GrossMinor: net}
}

func message(t *testing.T, q *pricingv1.QuoteResponse) *sarama.ConsumerMessage {
	t.Helper()
	value, err := proto.Marshal(&usagev1.QuotePriced{NodeId: "n", Quote: q})
	if err != nil {
		t.Fatal(err)
	}
	m := &sarama.ConsumerMessage{Offset: 41, Partition: 2, Value: value}
	for _, h := range (cloudevent.Event{ID: "q", Source: "/s", Type: quotePriced, Traceparent: cloudevent.NewTraceparent()}).Headers() {
		m.Headers = append(m.Headers, &h)
	}
	return m
}

func TestQuotesAreSummedByWindowCurrencyAndJurisdiction(t *testing.T) {
	w := newWindows()
	w.add(quote(19, "DE", line("b", 1, 10), line("a", 2, 20), line("b", 1, 10)))
	w.add(quote(10, "DE", line("b", 3, 30)))
	w.add(quote(20, "DE", line("a", 1, 10)))
	w.add(quote(-1, "DE", line("a", 1, 10)))
	w.add(quote(10, "AT", line("a", 1, 10)))
	records := w.take()
	var starts []int64
	for _, r := range records {
		starts = append(starts, r.GetWindowStart().GetSeconds())
	}
	if len(records) != 4 || starts[0] != -10 || starts[1] != 10 || starts[2] != 10 || starts[3] != 20 {
		t.Fatalf("windows start at %v", starts)
	}
	de := records[2]
	if de.GetQuotes() != 2 || len(de.GetLines()) != 2 || de.GetLines()[0].GetSku() != "a" {
		t.Fatalf("got %v", de)
	}
	if b := de.GetLines()[1]; b.GetLines() != 3 || b.GetQuantity() != 5 || b.GetNetMinor() != 50 {
		t.Errorf("got %v", b)
	}
	if len(w.take()) != 0 {
		t.Error("something was left")
	}
}

func TestASumThatWouldNotFitContinuesInAnotherRecord(t *testing.T) {
	w := newWindows()
	for range 3 {
		w.add(quote(1, "DE", line("a", 1, math.MaxInt64/2)))
	}
	records := w.take()
	if len(records) != 2 || records[0].GetQuotes()+records[1].GetQuotes() != 3 {
		t.Errorf("got %v", records)
	}
}

func TestARecordThatIsNoQuoteIsPoison(t *testing.T) {
	good := quote(1, "DE", line("a", 1, 10))
	if quotes, err := read(message(t, good)); err != nil || len(quotes) != 1 || !proto.Equal(quotes[0], good) {
		t.Fatal(quotes, err)
	}
	for want, spoil := range map[string]func(*pricingv1.QuoteResponse, *sarama.ConsumerMessage){
		"HEADER_MISSING: ce_id": func(_ *pricingv1.QuoteResponse, m *sarama.ConsumerMessage) {
			m.Headers = append(m.Headers[:1], m.Headers[2:]...)
		},
		"HEADER_INVALID: ce_specversion": func(_ *pricingv1.QuoteResponse, m *sarama.ConsumerMessage) { m.Headers[0].Value = []byte("2") },
		"HEADER_INVALID: ce_type":        func(_ *pricingv1.QuoteResponse, m *sarama.ConsumerMessage) { m.Headers[3].Value = []byte("other") },
		"VALUE_MISSING":                  func(_ *pricingv1.QuoteResponse, m *sarama.ConsumerMessage) { m.Value = nil },
		"VALUE_INVALID":                  func(_ *pricingv1.QuoteResponse, m *sarama.ConsumerMessage) { m.Value = []byte{0xff} },
		"FIELD_INVALID: quote_id":        func(q *pricingv1.QuoteResponse, _ *sarama.ConsumerMessage) { q.QuoteId = "" },
		"FIELD_INVALID: priced_at":       func(q *pricingv1.QuoteResponse, _ *sarama.ConsumerMessage) { q.PricedAt = nil },
		"FIELD_INVALID: lines.sku":       func(q *pricingv1.QuoteResponse, _ *sarama.ConsumerMessage) { q.Lines[0].Sku = "" },
		"AMOUNT_NEGATIVE: lines[0]":      func(q *pricingv1.QuoteResponse, _ *sarama.ConsumerMessage) { q.Lines[0].TaxMinor = -1 },
		"TOTALS_MISMATCH":                func(q *pricingv1.QuoteResponse, _ *sarama.ConsumerMessage) { q.NetMinor++ },
		"FIELD_INVALID: lines.promotion_id": func(q *pricingv1.QuoteResponse, _ *sarama.ConsumerMessage) {
			q.Lines[0].PromotionId = strings.Repeat("p", 65)
		},
	} {
		q := proto.Clone(good).(*pricingv1.QuoteResponse)
		// Each spoils either the quote or its record.
		spoil(q, message(t, good))
		m := message(t, q)
		spoil(proto.Clone(good).(*pricingv1.QuoteResponse), m)
		if _, err := read(m); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestADeadLetterSaysWhyAndWhereAndIsCut(t *testing.T) {
	m := message(t, quote(1, "DE", line("a", 1, 10)))
	m.Key, m.Value = []byte("key"), make([]byte, maxDeadValue+1)
	got := map[string]string{}
	dead := deadLetter("dead", m, poison("WHY"))
	for _, h := range dead.Headers {
		got[string(h.Key)] = string(h.Value)
	}
	for name, want := range map[string]string{
		"ce_id": "q", "dead-letter-reason": "WHY", "dead-letter-partition": "2", "dead-letter-offset": "41", "dead-letter-truncated-from": "524292",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
	if dead.Value.Length() != maxDeadValue || dead.Key.Length() != 3 {
		t.Errorf("the value has %d bytes", dead.Value.Length())
	}
}
