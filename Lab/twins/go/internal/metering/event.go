// Package metering turns priced quotes into usage windows, exactly once.
package metering

import (
	"fmt"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/proto"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
)

const quotePriced = "hybrid.pricing.quote.priced.v1"

// The years 1 to 9999, as google.protobuf.Timestamp has them.
const (
	firstSecond = -62_135_596_800
	lastSecond  = 253_402_300_799
)

// poison is why a record is not a priced quote. It becomes the header dead-letter-reason.
type poison string

func (p poison) Error() string { return string(p) }

func poisoned(format string, args ...any) error { return poison(fmt.Sprintf(format, args...)) }

// read returns the quotes of a record, which are valid. Its error is a poison.
func read(m *sarama.ConsumerMessage) ([]*pricingv1.QuoteResponse, error) {
	for _, name := range []string{"ce_specversion", "ce_id", "ce_source", "ce_type"} {
		if header(m, name) == "" {
			return nil, poisoned("HEADER_MISSING: %s", name)
		}
	}
	if header(m, "ce_specversion") != "1.0" {
		return nil, poisoned("HEADER_INVALID: ce_specversion")
	}
	if header(m, "ce_type") != quotePriced {
		return nil, poisoned("HEADER_INVALID: ce_type")
	}
	if m.Value == nil {
		return nil, poisoned("VALUE_MISSING")
	}
	var event usagev1.QuotePriced
	if err := proto.Unmarshal(m.Value, &event); err != nil {
		return nil, poisoned("VALUE_INVALID: %v", err)
	}
	if err := check(event.GetQuote()); err != nil {
		return nil, err
	}
	return []*pricingv1.QuoteResponse{event.GetQuote()}, nil
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
