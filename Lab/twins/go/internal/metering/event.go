// Package metering turns priced quotes into usage windows, exactly once.
package metering

import (
	"fmt"
	"unicode/utf8"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
)

// The types of records with one quote, and with many.
const (
	quotePriced  = "hybrid.pricing.quote.priced.v1"
	quotesPriced = "hybrid.pricing.quotes.priced.v1"
)

// The years 1 to 9999, as google.protobuf.Timestamp has them.
const (
	firstSecond = -62_135_596_800
	lastSecond  = 253_402_300_799
)

// poison is why a record is not a priced quote. It becomes the header dead-letter-reason.
type poison string

func (p poison) Error() string { return string(p) }

func poisoned(format string, args ...any) error { return poison(fmt.Sprintf(format, args...)) }

// priced is one quote of a record.
type priced struct {
	// quote is valid, or err, a poison, says why it is not.
	quote *pricingv1.QuoteResponse
	err   error
	// alone is the value of a record with this quote alone, and its trace; nil where the record is that.
	alone []byte
	trace []sarama.RecordHeader
}

// read returns the quotes of a record. Its error, a poison, says why there are none.
func read(m *sarama.ConsumerMessage) ([]priced, error) {
	for _, name := range []string{"ce_specversion", "ce_id", "ce_source", "ce_type"} {
		if header(m, name) == "" {
			return nil, poisoned("HEADER_MISSING: %s", name)
		}
	}
	if header(m, "ce_specversion") != "1.0" {
		return nil, poisoned("HEADER_INVALID: ce_specversion")
	}
	kind := header(m, "ce_type")
	if kind != quotePriced && kind != quotesPriced {
		return nil, poisoned("HEADER_INVALID: ce_type")
	}
	if m.Value == nil {
		return nil, poisoned("VALUE_MISSING")
	}
	if kind == quotesPriced {
		return readMany(m.Value)
	}
	var event usagev1.QuotePriced
	if err := proto.Unmarshal(m.Value, &event); err != nil {
		return nil, poisoned("VALUE_INVALID: %v", err)
	}
	if err := check(event.GetQuote()); err != nil {
		return nil, err
	}
	return []priced{{quote: event.GetQuote()}}, nil
}

// readMany reads a QuotesPriced with its quotes as they came: one that cannot be read takes no other with it.
func readMany(value []byte) ([]priced, error) {
	var node []byte
	var encoded [][]byte
	for rest := value; len(rest) > 0; {
		number, kind, length := protowire.ConsumeTag(rest)
		if length < 0 {
			return nil, poisoned("VALUE_INVALID: %v", protowire.ParseError(length))
		}
		field := rest[length:]
		size := protowire.ConsumeFieldValue(number, kind, field)
		if size < 0 {
			return nil, poisoned("VALUE_INVALID: %v", protowire.ParseError(size))
		}
		rest = field[size:]
		if number > 2 {
			continue
		}
		content, ok := protowire.ConsumeBytes(field)
		if kind != protowire.BytesType || ok < 0 || number == 1 && !utf8.Valid(content) {
			return nil, poisoned("VALUE_INVALID: field %d", number)
		}
		if number == 1 {
			node = content
		} else {
			encoded = append(encoded, content)
		}
	}
	if len(encoded) == 0 {
		return nil, poisoned("FIELD_INVALID: quotes")
	}
	quotes := make([]priced, len(encoded))
	for n, one := range encoded {
		if quotes[n] = readPriced(one); quotes[n].err != nil {
			if len(node) > 0 {
				quotes[n].alone = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), node)
			}
			quotes[n].alone = protowire.AppendBytes(protowire.AppendTag(quotes[n].alone, 2, protowire.BytesType), one)
		}
	}
	return quotes, nil
}

func readPriced(encoded []byte) priced {
	var m usagev1.PricedQuote
	if err := proto.Unmarshal(encoded, &m); err != nil {
		return priced{err: poisoned("VALUE_INVALID: %v", err)}
	}
	p := priced{quote: m.GetQuote(), err: check(m.GetQuote())}
	for _, h := range [...][2]string{{"traceparent", m.GetTraceparent()}, {"tracestate", m.GetTracestate()}} {
		if p.err != nil && h[1] != "" {
			p.trace = append(p.trace, sarama.RecordHeader{Key: []byte(h[0]), Value: []byte(h[1])})
		}
	}
	return p
}

func header(m *sarama.ConsumerMessage, name string) string {
	for _, h := range m.Headers {
		if string(h.Key) == name {
			return string(h.Value)
		}
	}
	return ""
}

func check(quote *pricingv1.QuoteResponse) error {
	if quote == nil {
		return poisoned("FIELD_INVALID: quote")
	}
	at := quote.GetPricedAt()
	isName := func(text string, longest int) bool { return len(text) >= 1 && len(text) <= longest }
	hasTime := at != nil && at.GetSeconds() >= firstSecond && at.GetSeconds() <= lastSecond && at.GetNanos() >= 0 && at.GetNanos() < 1_000_000_000
	switch lines := len(quote.GetLines()); {
	case !isName(quote.GetQuoteId(), 64):
		return poisoned("FIELD_INVALID: quote_id")
	case !hasTime:
		return poisoned("FIELD_INVALID: priced_at")
	case len(quote.GetCurrencyCode()) != 3:
		return poisoned("FIELD_INVALID: currency_code")
	case !isName(quote.GetJurisdiction(), 16):
		return poisoned("FIELD_INVALID: jurisdiction")
	case lines < 1 || lines > 200:
		return poisoned("FIELD_INVALID: lines")
	}
	for _, line := range quote.GetLines() {
		if !isName(line.GetSku(), 64) {
			return poisoned("FIELD_INVALID: lines.sku")
		}
	}
	for _, line := range quote.GetLines() {
		if len(line.GetPromotionId()) > 64 {
			return poisoned("FIELD_INVALID: lines.promotion_id")
		}
	}
	return checkAmounts(quote)
}

// checkAmounts reports whether no amount is negative, and the totals are the sums of the lines, which fit.
func checkAmounts(quote *pricingv1.QuoteResponse) error {
	var sums amounts
	fits := true
	for n, line := range quote.GetLines() {
		one := amountsOf(line)
		if one.negative() {
			return poisoned("AMOUNT_NEGATIVE: lines[%d]", n)
		}
		if fits {
			sums, fits = sums.plus(one)
		}
	}
	stated := amounts{
		lines: sums.lines, quantity: sums.quantity,
		discount: quote.GetDiscountMinor(), net: quote.GetNetMinor(), tax: quote.GetTaxMinor(), gross: quote.GetGrossMinor(),
	}
	if !fits || sums != stated {
		return poisoned("TOTALS_MISMATCH")
	}
	return nil
}
