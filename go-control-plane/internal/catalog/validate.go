package catalog

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"hybrid/control-plane/internal/money"
)

// Limits of the contract.
const (
	MaxKeyLength      = 64
	MaxNameLength     = 200
	MaxCategoryLength = 32
	MaxAmountMinor    = 1_000_000_000_000
	MaxQuantity       = 1_000_000
	MaxPromotionSKUs  = 1_000
	// MaxPromotionsOfSKU is how many promotions may list one sku, and how many may list none, which are for all skus. It bounds
	// what pricing compares for one line of a quote.
	MaxPromotionsOfSKU = 200
)

// The range of instants that a protobuf Timestamp and a Postgres timestamp can both represent.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// ValidKey reports whether text can be a sku, a promotion id, a coupon or a node id: 1 to 64 of A-Z a-z 0-9 . _ -,
// but neither . nor .., which no path of a URL can carry.
func ValidKey(text string) bool {
	return text != "." && text != ".." && len(text) >= 1 && len(text) <= MaxKeyLength && only(text, func(c byte) bool {
		return lower(c) || upper(c) || digit(c) || c == '.' || c == '_' || c == '-'
	})
}

// ValidJurisdiction reports whether text can be a jurisdiction: 2 to 16 of A-Z 0-9 -
func ValidJurisdiction(text string) bool {
	return len(text) >= 2 && len(text) <= 16 && only(text, func(c byte) bool { return upper(c) || digit(c) || c == '-' })
}

// ValidCategory reports whether text can be a tax category: 1 to 32 of a-z 0-9 -
func ValidCategory(text string) bool {
	return len(text) >= 1 && len(text) <= MaxCategoryLength && only(text, func(c byte) bool { return lower(c) || digit(c) || c == '-' })
}

const (
	keyForm          = "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, and neither . nor .."
	categoryForm     = "must be 1 to 32 characters of a-z 0-9 -"
	jurisdictionForm = "must be 2 to 16 characters of A-Z 0-9 -"
	nameForm         = "must be 1 to 200 characters without control characters"
	currencyForm     = "must be three upper-case letters (ISO 4217)"
)

// normalized returns the resource with its defaults, or an error with all violations.
func (i Item) normalized() (Item, error) {
	if i.TaxCategory == "" {
		i.TaxCategory = StandardCategory
	}
	var v violations
	v.require(ValidKey(i.SKU), "sku", keyForm)
	v.require(validName(i.Name), "name", nameForm)
	v.require(money.ValidCurrency(i.UnitPrice.Currency), "unit_price.currency_code", currencyForm)
	v.between(i.UnitPrice.Minor, 0, MaxAmountMinor, "unit_price.minor_units")
	v.require(ValidCategory(i.TaxCategory), "tax_category", categoryForm)
	return i, v.err()
}

func (r TaxRule) normalized() (TaxRule, error) {
	if r.Category == "" {
		r.Category = StandardCategory
	}
	var v violations
	v.require(ValidJurisdiction(r.Jurisdiction), "jurisdiction", jurisdictionForm)
	v.require(ValidCategory(r.Category), "category", categoryForm)
	v.between(r.RatePPM, 0, money.Million, "rate_ppm")
	return r, v.err()
}

func (p Promotion) normalized() (Promotion, error) {
	if p.MinQuantity == 0 {
		p.MinQuantity = 1
	}
	var v violations
	v.require(ValidKey(p.ID), "promotion_id", keyForm)
	v.require(validName(p.Name), "name", nameForm)
	switch {
	case p.PercentOffPPM != 0 && p.AmountOffMinor != 0:
		v.add("discount", "must be one of percent_off_ppm and amount_off_minor")
	case p.AmountOffMinor != 0:
		v.between(p.AmountOffMinor, 1, MaxAmountMinor, "amount_off_minor")
	case p.PercentOffPPM != 0:
		v.between(p.PercentOffPPM, 1, money.Million, "percent_off_ppm")
	default:
		v.add("discount", "must be given and above zero")
	}
	v.require(len(p.SKUs) <= MaxPromotionSKUs, "skus", "must be at most 1,000")
	for n, sku := range p.SKUs {
		if n == MaxPromotionSKUs {
			break
		}
		v.require(ValidKey(sku), fmt.Sprintf("skus[%d]", n), keyForm)
	}
	v.require(p.Coupon == "" || ValidKey(p.Coupon), "coupon", keyForm)
	v.between(p.MinQuantity, 1, MaxQuantity, "min_quantity")
	v.instant(p.StartsAt, "starts_at")
	v.instant(p.EndsAt, "ends_at")
	v.require(p.StartsAt.IsZero() || p.EndsAt.IsZero() || p.StartsAt.Before(p.EndsAt), "ends_at", "must be after starts_at")
	v.require(money.ValidCurrency(p.Budget.Currency), "budget.currency_code", currencyForm)
	v.require(p.Budget.Minor >= 0, "budget.minor_units", "must be 0 or more")
	// Postgres stores microseconds, and this answer must be equal to that of a later read.
	p.StartsAt, p.EndsAt = p.StartsAt.Truncate(time.Microsecond), p.EndsAt.Truncate(time.Microsecond)
	return p, v.err()
}

type violations []Violation

func (v *violations) add(field, message string) { *v = append(*v, Violation{field, message}) }

func (v *violations) require(ok bool, field, message string) {
	if !ok {
		v.add(field, message)
	}
}

func (v *violations) between(n, low, high int64, field string) {
	v.require(n >= low && n <= high, field, fmt.Sprintf("must be %d to %d", low, high))
}

func (v *violations) instant(t time.Time, field string) {
	v.require(t.IsZero() || (!t.Before(earliest) && !t.After(latest)), field, "must be within the years 1 to 9999")
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	return &ValidationError{v}
}

func validName(text string) bool {
	if !utf8.ValidString(text) || strings.TrimSpace(text) == "" || utf8.RuneCountInString(text) > MaxNameLength {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func only(text string, allowed func(byte) bool) bool {
	for i := range len(text) {
		if !allowed(text[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func upper(c byte) bool { return c >= 'A' && c <= 'Z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }
