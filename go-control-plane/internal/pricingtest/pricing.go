// Package pricingtest has the pricing rules of the contract in Go, for tests: the price of a basket at an instant under one catalog,
// exactly and without I/O. Data planes have their own, and both are held to the same vectors.
package pricingtest

import (
	"fmt"
	"slices"
	"time"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/money"
)

// Limits of a request.
const (
	MaxLines    = 200
	MaxCoupons  = 16
	MaxQuantity = 1_000_000
)

// Catalog is the resources that quotes are priced by.
type Catalog struct {
	items    map[string]catalog.Item
	taxRules map[string]catalog.TaxRule
	// bySKU has the promotions by the skus that they name, forAll those that name none.
	bySKU  map[string][]catalog.Promotion
	forAll []catalog.Promotion
}

// NewCatalog indexes resources.
func NewCatalog(items []catalog.Item, rules []catalog.TaxRule, promotions []catalog.Promotion) *Catalog {
	c := &Catalog{items: map[string]catalog.Item{}, taxRules: map[string]catalog.TaxRule{}, bySKU: map[string][]catalog.Promotion{}}
	for _, i := range items {
		if i.TaxCategory == "" {
			i.TaxCategory = catalog.StandardCategory
		}
		c.items[i.SKU] = i
	}
	for _, r := range rules {
		c.taxRules[catalog.TaxRuleName(r.Jurisdiction, r.Category)] = r
	}
	for _, p := range promotions {
		if len(p.SKUs) == 0 {
			c.forAll = append(c.forAll, p)
		}
		for _, sku := range p.SKUs {
			c.bySKU[sku] = append(c.bySKU[sku], p)
		}
	}
	return c
}

// Request is a basket.
type Request struct {
	Currency, Jurisdiction string
	Lines                  []Line
	Coupons                []string
}

// Line is a quantity of one item.
type Line struct {
	SKU      string
	Quantity int64
}

// Quote is the price of a basket, in minor units of its currency.
type Quote struct {
	Lines                     []PricedLine
	Discount, Net, Tax, Gross int64
}

// PricedLine is the price of one line.
type PricedLine struct {
	SKU                                   string
	Quantity, UnitPrice                   int64
	Discount, Net, Tax, Gross, TaxRatePPM int64
	// PromotionID is empty if no promotion applied.
	PromotionID string
}

// Reason is the machine-readable reason of an Error.
type Reason string

// The reasons, in the order of the checks.
const (
	CurrencyInvalid     Reason = "CURRENCY_INVALID"
	JurisdictionInvalid Reason = "JURISDICTION_INVALID"
	LinesInvalid        Reason = "LINES_INVALID"
	CouponsInvalid      Reason = "COUPONS_INVALID"
	SKUInvalid          Reason = "SKU_INVALID"
	QuantityInvalid     Reason = "QUANTITY_INVALID"
	SKUUnknown          Reason = "SKU_UNKNOWN"
	CurrencyMismatch    Reason = "CURRENCY_MISMATCH"
	TaxRuleUnknown      Reason = "TAX_RULE_UNKNOWN"
	AmountOverflow      Reason = "AMOUNT_OVERFLOW"
)

// Error is a basket that cannot be priced, with the invalid field.
type Error struct {
	Reason Reason
	Field  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Reason) }

// Price returns the price of the basket at an instant. Every error is an *Error, for the first check that fails.
func (c *Catalog) Price(r Request, now time.Time) (Quote, error) {
	if err := r.validate(); err != nil {
		return Quote{}, err
	}
	quote := Quote{Lines: make([]PricedLine, 0, len(r.Lines))}
	for n, line := range r.Lines {
		priced, err := c.priceLine(r, line, n, now)
		if err != nil {
			return Quote{}, err
		}
		quote.Lines = append(quote.Lines, priced)
	}
	for _, line := range quote.Lines {
		for _, sum := range []struct {
			total *int64
			part  int64
		}{{&quote.Discount, line.Discount}, {&quote.Net, line.Net}, {&quote.Tax, line.Tax}, {&quote.Gross, line.Gross}} {
			total, err := money.Add(*sum.total, sum.part)
			if err != nil {
				return Quote{}, &Error{AmountOverflow, "lines"}
			}
			*sum.total = total
		}
	}
	return quote, nil
}

func (r Request) validate() error {
	switch {
	case !money.ValidCurrency(r.Currency):
		return &Error{CurrencyInvalid, "currency_code"}
	case !catalog.ValidJurisdiction(r.Jurisdiction):
		return &Error{JurisdictionInvalid, "jurisdiction"}
	case len(r.Lines) == 0 || len(r.Lines) > MaxLines:
		return &Error{LinesInvalid, "lines"}
	case len(r.Coupons) > MaxCoupons:
		return &Error{CouponsInvalid, "coupons"}
	}
	for n, coupon := range r.Coupons {
		if !catalog.ValidKey(coupon) {
			return &Error{CouponsInvalid, fmt.Sprintf("coupons[%d]", n)}
		}
	}
	return nil
}

func (c *Catalog) priceLine(r Request, line Line, n int, now time.Time) (PricedLine, error) {
	at := fmt.Sprintf("lines[%d]", n)
	if !catalog.ValidKey(line.SKU) {
		return PricedLine{}, &Error{SKUInvalid, at + ".sku"}
	}
	if line.Quantity < 1 || line.Quantity > MaxQuantity {
		return PricedLine{}, &Error{QuantityInvalid, at + ".quantity"}
	}
	item, ok := c.items[line.SKU]
	if !ok {
		return PricedLine{}, &Error{SKUUnknown, at + ".sku"}
	}
	if item.UnitPrice.Currency != r.Currency {
		return PricedLine{}, &Error{CurrencyMismatch, at + ".sku"}
	}
	rule, ok := c.taxRules[catalog.TaxRuleName(r.Jurisdiction, item.TaxCategory)]
	if !ok {
		return PricedLine{}, &Error{TaxRuleUnknown, "jurisdiction"}
	}
	list, err := money.Mul(item.UnitPrice.Minor, line.Quantity)
	if err != nil {
		return PricedLine{}, &Error{AmountOverflow, at}
	}
	p := PricedLine{SKU: line.SKU, Quantity: line.Quantity, UnitPrice: item.UnitPrice.Minor, TaxRatePPM: rule.RatePPM}
	p.PromotionID, p.Discount = c.best(r, line, list, now)
	p.Net = list - p.Discount
	if p.Tax, err = money.Rate(p.Net, rule.RatePPM); err != nil {
		return PricedLine{}, &Error{AmountOverflow, at}
	}
	if p.Gross, err = money.Add(p.Net, p.Tax); err != nil {
		return PricedLine{}, &Error{AmountOverflow, at}
	}
	return p, nil
}

// best returns the promotion with the largest discount on a line, and of equal ones that with the smallest id.
func (c *Catalog) best(r Request, line Line, list int64, now time.Time) (id string, discount int64) {
	for _, candidates := range [][]catalog.Promotion{c.bySKU[line.SKU], c.forAll} {
		for _, p := range candidates {
			if !applies(p, r, line, now) {
				continue
			}
			d := discountOf(p, list, line.Quantity)
			if d > discount || (d == discount && d > 0 && p.ID < id) {
				id, discount = p.ID, d
			}
		}
	}
	return id, discount
}

func applies(p catalog.Promotion, r Request, line Line, now time.Time) bool {
	return !p.Exhausted &&
		p.Budget.Currency == r.Currency &&
		(p.StartsAt.IsZero() || !now.Before(p.StartsAt)) &&
		(p.EndsAt.IsZero() || now.Before(p.EndsAt)) &&
		line.Quantity >= p.MinQuantity &&
		(p.Coupon == "" || slices.Contains(r.Coupons, p.Coupon))
}

// discountOf returns the discount, which is at most list. An amount off that overflows is more than any list.
func discountOf(p catalog.Promotion, list, quantity int64) int64 {
	if p.AmountOffMinor != 0 {
		off, err := money.Mul(p.AmountOffMinor, quantity)
		if err != nil || off > list {
			return list
		}
		return off
	}
	off, err := money.Rate(list, p.PercentOffPPM)
	if err != nil || off > list {
		return list
	}
	return off
}
