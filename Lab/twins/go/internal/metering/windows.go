package metering

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
)

const (
	// windowSeconds is the length of a window; windows are aligned to it since the Unix epoch.
	windowSeconds = 10
	// maxLines is how many lines a record has at most, so that a broker takes it.
	maxLines = 2_000
)

// windows sums up quotes by window, currency and jurisdiction. Each quote goes into exactly one record.
type windows struct {
	open map[windowKey]*window
	// full are those to which nothing more could be added.
	full []*usagev1.UsageWindow
}

type windowKey struct {
	start                  int64
	currency, jurisdiction string
}

type window struct {
	quotes int64
	lines  map[lineKey]amounts
}

type lineKey struct {
	sku, promotionID        string
	promotionCreatedVersion int64
}

// amounts are sums of quote lines, none of which is negative.
type amounts struct{ lines, quantity, discount, net, tax, gross int64 }

func amountsOf(line *pricingv1.PricedLine) amounts {
	return amounts{1, line.GetQuantity(), line.GetDiscountMinor(), line.GetNetMinor(), line.GetTaxMinor(), line.GetGrossMinor()}
}

func (a amounts) negative() bool {
	return a.quantity < 0 || a.discount < 0 || a.net < 0 || a.tax < 0 || a.gross < 0
}

// plus returns the sums; fits is false if one does not fit int64.
func (a amounts) plus(b amounts) (sums amounts, fits bool) {
	sums = amounts{a.lines + b.lines, a.quantity + b.quantity, a.discount + b.discount, a.net + b.net, a.tax + b.tax, a.gross + b.gross}
	return sums, sums.lines >= 0 && !sums.negative()
}

func newWindows() *windows { return &windows{open: map[windowKey]*window{}} }

// add adds a quote that read has returned.
func (w *windows) add(quote *pricingv1.QuoteResponse) {
	lines := make(map[lineKey]amounts, len(quote.GetLines()))
	for _, line := range quote.GetLines() {
		key := lineKey{line.GetSku(), line.GetPromotionId(), line.GetPromotionCreatedVersion()}
		// The sums of a whole quote fit.
		lines[key], _ = lines[key].plus(amountsOf(line))
	}
	seconds := quote.GetPricedAt().GetSeconds()
	into := ((seconds % windowSeconds) + windowSeconds) % windowSeconds
	key := windowKey{seconds - into, quote.GetCurrencyCode(), quote.GetJurisdiction()}
	open, ok := w.open[key]
	if ok && !open.takes(lines) {
		w.full = append(w.full, record(key, open))
		ok = false
	}
	if !ok {
		open = &window{lines: map[lineKey]amounts{}}
		w.open[key] = open
	}
	open.quotes++
	for name, sums := range lines {
		open.lines[name], _ = open.lines[name].plus(sums)
	}
}

// takes reports whether a quote with these lines fits: no sum leaves int64, and the record stays within its size.
func (w *window) takes(lines map[lineKey]amounts) bool {
	if len(w.lines)+len(lines) > maxLines {
		return false
	}
	for name, sums := range lines {
		if _, fits := w.lines[name].plus(sums); !fits {
			return false
		}
	}
	return true
}

// take returns all records, and none is left.
func (w *windows) take() []*usagev1.UsageWindow {
	records := w.full
	for _, key := range slices.SortedFunc(maps.Keys(w.open), func(a, b windowKey) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.currency, b.currency), cmp.Compare(a.jurisdiction, b.jurisdiction))
	}) {
		records = append(records, record(key, w.open[key]))
	}
	clear(w.open)
	w.full = nil
	return records
}

func record(key windowKey, w *window) *usagev1.UsageWindow {
	m := &usagev1.UsageWindow{
		// The ledger takes the very first second for no time at all.
		WindowStart:  &timestamppb.Timestamp{Seconds: max(key.start, firstSecond+1)},
		WindowEnd:    &timestamppb.Timestamp{Seconds: min(key.start+windowSeconds, lastSecond)},
		CurrencyCode: key.currency, Jurisdiction: key.jurisdiction, Quotes: w.quotes,
		Lines: make([]*usagev1.UsageLine, 0, len(w.lines)),
	}
	for name, sums := range w.lines {
		m.Lines = append(m.Lines, &usagev1.UsageLine{
			Sku: name.sku, PromotionId: name.promotionID, PromotionCreatedVersion: name.promotionCreatedVersion,
			Lines: sums.lines, Quantity: sums.quantity,
			DiscountMinor: sums.discount, NetMinor: sums.net, TaxMinor: sums.tax, GrossMinor: sums.gross,
		})
	}
	slices.SortFunc(m.Lines, func(a, b *usagev1.UsageLine) int {
		return cmp.Or(
			cmp.Compare(a.GetSku(), b.GetSku()), cmp.Compare(a.GetPromotionId(), b.GetPromotionId()),
			cmp.Compare(a.GetPromotionCreatedVersion(), b.GetPromotionCreatedVersion()))
	})
	return m
}
