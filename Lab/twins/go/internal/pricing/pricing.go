// Package pricing has the pricing rules of the contract: the price of a basket at an instant under one catalog, exactly and
// without I/O.
package pricing

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
)

// Limits of a request.
const (
	maxLines    = 200
	maxCoupons  = 16
	maxQuantity = 1_000_000
)

// Error is a basket that cannot be priced: one row of the contract's table, with the field at fault, if there is one.
type Error struct {
	Code          codes.Code
	Reason, Field string
	message       string
}

func (e *Error) Error() string { return e.message }

// ErrNoCatalog is the answer of a node that has never had a catalog.
var ErrNoCatalog = &Error{codes.Unavailable, "SNAPSHOT_MISSING", "", "this node has never had a snapshot of the catalog"}

// Price returns the price of the basket at an instant, as an answer that lacks its id. Every error is an *Error, for the first
// check that fails.
func (c *Catalog) Price(r *pricingv1.QuoteRequest, now time.Time) (*pricingv1.QuoteResponse, error) {
	if err := validate(r); err != nil {
		return nil, err
	}
	quote := &pricingv1.QuoteResponse{
		SnapshotVersion: c.version, PricedAt: timestamppb.New(now), CurrencyCode: r.GetCurrencyCode(), Jurisdiction: r.GetJurisdiction(),
		Lines: make([]*pricingv1.PricedLine, 0, len(r.GetLines())),
	}
	fits := true
	sum := func(total *int64, part int64) {
		var ok bool
		*total, ok = add(*total, part)
		fits = fits && ok
	}
	for n, line := range r.GetLines() {
		priced, err := c.priceLine(r, line, n, now)
		if err != nil {
			return nil, err
		}
		quote.Lines = append(quote.Lines, priced)
		if fits {
			sum(&quote.DiscountMinor, priced.GetDiscountMinor())
			sum(&quote.NetMinor, priced.GetNetMinor())
			sum(&quote.TaxMinor, priced.GetTaxMinor())
			sum(&quote.GrossMinor, priced.GetGrossMinor())
		}
	}
	if !fits {
		return nil, &Error{codes.OutOfRange, "AMOUNT_OVERFLOW", "lines", "a total is too large"}
	}
	return quote, nil
}

func validate(r *pricingv1.QuoteRequest) error {
	lines, coupons := len(r.GetLines()), len(r.GetCoupons())
	switch {
	case !validCurrency(r.GetCurrencyCode()):
		return &Error{codes.InvalidArgument, "CURRENCY_INVALID", "currency_code", "a currency is three of A-Z"}
	case !validJurisdiction(r.GetJurisdiction()):
		return &Error{codes.InvalidArgument, "JURISDICTION_INVALID", "jurisdiction", "a jurisdiction is 2 to 16 characters of A-Z 0-9 -"}
	case lines == 0 || lines > maxLines:
		return &Error{codes.InvalidArgument, "LINES_INVALID", "lines", fmt.Sprintf("a basket has 1 to 200 lines, not %d", lines)}
	case coupons > maxCoupons:
		return &Error{codes.InvalidArgument, "COUPONS_INVALID", "coupons", fmt.Sprintf("a quote takes up to 16 coupons, not %d", coupons)}
	}
	for n, coupon := range r.GetCoupons() {
		if !validKey(coupon) {
			return &Error{codes.InvalidArgument, "COUPONS_INVALID", fmt.Sprintf("coupons[%d]", n), "a coupon is 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor .."}
		}
	}
	return nil
}

func (c *Catalog) priceLine(r *pricingv1.QuoteRequest, line *pricingv1.QuoteLine, n int, now time.Time) (*pricingv1.PricedLine, error) {
	sku, quantity := line.GetSku(), line.GetQuantity()
	field := func(name string) string { return fmt.Sprintf("lines[%d]%s", n, name) }
	if !validKey(sku) {
		return nil, &Error{codes.InvalidArgument, "SKU_INVALID", field(".sku"), "a sku is 1 to 64 characters of A-Z a-z 0-9 . _ -, neither . nor .."}
	}
	if quantity < 1 || quantity > maxQuantity {
		return nil, &Error{codes.InvalidArgument, "QUANTITY_INVALID", field(".quantity"), "a quantity is 1 to 1,000,000"}
	}
	item, ok := c.items[sku]
	if !ok {
		return nil, &Error{codes.NotFound, "SKU_UNKNOWN", field(".sku"), "the catalog has no such sku"}
	}
	if item.currency != r.GetCurrencyCode() {
		return nil, &Error{codes.FailedPrecondition, "CURRENCY_MISMATCH", field(".sku"), "the item is priced in another currency than the quote's"}
	}
	rate, ok := c.rates[taxKey{r.GetJurisdiction(), item.category}]
	if !ok {
		message := fmt.Sprintf("the jurisdiction has no tax rule for the category of lines[%d]", n)
		return nil, &Error{codes.NotFound, "TAX_RULE_UNKNOWN", "jurisdiction", message}
	}
	tooLarge := func() error {
		return &Error{codes.OutOfRange, "AMOUNT_OVERFLOW", field(""), "an amount of the line is too large"}
	}
	list, ok := multiply(item.unitPrice, quantity)
	if !ok {
		return nil, tooLarge()
	}
	p := &pricingv1.PricedLine{Sku: sku, Quantity: quantity, UnitPriceMinor: item.unitPrice, NetMinor: list, TaxRatePpm: rate}
	if best, discount := c.best(r, sku, quantity, list, now); best != nil {
		p.PromotionId, p.PromotionCreatedVersion = best.id, best.createdVersion
		p.DiscountMinor, p.NetMinor = discount, list-discount
	}
	if p.TaxMinor, ok = share(p.NetMinor, rate); !ok {
		return nil, tooLarge()
	}
	if p.GrossMinor, ok = add(p.NetMinor, p.TaxMinor); !ok {
		return nil, tooLarge()
	}
	return p, nil
}

// best returns the promotion with the largest discount on a line, and of equal ones that with the smallest id; nil if none gives any.
func (c *Catalog) best(r *pricingv1.QuoteRequest, sku string, quantity, list int64, now time.Time) (best *promotion, most int64) {
	for _, candidates := range [...][]*promotion{c.bySKU[sku], c.everywhere} {
		for _, p := range candidates {
			if !p.applies(r.GetCurrencyCode(), quantity, r.GetCoupons(), now) {
				continue
			}
			d := p.discount(list, quantity)
			if d > most || (best != nil && d == most && p.id < best.id) {
				best, most = p, d
			}
		}
	}
	return best, most
}
