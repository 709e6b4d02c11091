package pricing

import (
	"fmt"
	"time"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
)

const (
	standardCategory = "standard"
	maxAmountMinor   = 1_000_000_000_000
	maxPromotionSKUs = 1_000
)

// Invalid is a resource that cannot be used: the path of the field at fault, a machine-readable reason, and a text for people.
type Invalid struct{ Field, Code, Text string }

func (e *Invalid) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Text) }

type item struct {
	currency  string
	unitPrice int64
	category  string
}

type taxKey struct{ jurisdiction, category string }

type promotion struct {
	id             string
	createdVersion int64
	// One of the two is above zero.
	percentOffPPM, amountOffMinor int64
	skus                          []string
	coupon                        string
	minQuantity                   int64
	// The zero time is no bound.
	startsAt, endsAt time.Time
	currency         string
	exhausted        bool
}

func readItem(m *catalogv1.Item) (item, error) {
	price := m.GetUnitPrice()
	i := item{price.GetCurrencyCode(), price.GetMinorUnits(), category(m.GetTaxCategory())}
	switch {
	case !validKey(m.GetSku()):
		return item{}, &Invalid{"sku", "SKU_INVALID", keyForm}
	case !validCurrency(i.currency):
		return item{}, &Invalid{"unit_price.currency_code", "CURRENCY_INVALID", "must be three of A-Z"}
	case i.unitPrice < 0 || i.unitPrice > maxAmountMinor:
		return item{}, &Invalid{"unit_price.minor_units", "PRICE_OUT_OF_RANGE", "must be 0 to 1,000,000,000,000 minor units"}
	case !validCategory(i.category):
		return item{}, &Invalid{"tax_category", "TAX_CATEGORY_INVALID", "must be 1 to 32 characters of a-z 0-9 -"}
	}
	return i, nil
}

func readTaxRule(m *catalogv1.TaxRule) (taxKey, error) {
	key := taxKey{m.GetJurisdiction(), category(m.GetCategory())}
	switch {
	case !validJurisdiction(key.jurisdiction):
		return taxKey{}, &Invalid{"jurisdiction", "JURISDICTION_INVALID", "must be 2 to 16 characters of A-Z 0-9 -"}
	case !validCategory(key.category):
		return taxKey{}, &Invalid{"category", "TAX_CATEGORY_INVALID", "must be 1 to 32 characters of a-z 0-9 -"}
	case m.GetRatePpm() < 0 || m.GetRatePpm() > million:
		return taxKey{}, &Invalid{"rate_ppm", "RATE_OUT_OF_RANGE", "must be 0 to 1,000,000 parts per million"}
	}
	return key, nil
}

func readPromotion(m *catalogv1.Promotion) (*promotion, error) {
	p := &promotion{
		id: m.GetPromotionId(), createdVersion: m.GetCreatedVersion(), skus: m.GetSkus(), coupon: m.GetCoupon(),
		minQuantity: max(m.GetMinQuantity(), 1), currency: m.GetBudget().GetCurrencyCode(), exhausted: m.GetExhausted(),
	}
	if at := m.GetStartsAt(); at != nil {
		p.startsAt = at.AsTime()
	}
	if at := m.GetEndsAt(); at != nil {
		p.endsAt = at.AsTime()
	}
	var off, limit int64
	var field string
	switch discount := m.GetDiscount().(type) {
	case *catalogv1.Promotion_PercentOffPpm:
		p.percentOffPPM = discount.PercentOffPpm
		off, limit, field = p.percentOffPPM, million, "percent_off_ppm"
	case *catalogv1.Promotion_AmountOffMinor:
		p.amountOffMinor = discount.AmountOffMinor
		off, limit, field = p.amountOffMinor, maxAmountMinor, "amount_off_minor"
	}
	switch {
	case !validKey(p.id):
		return nil, &Invalid{"promotion_id", "PROMOTION_ID_INVALID", keyForm}
	case field == "":
		return nil, &Invalid{"discount", "DISCOUNT_MISSING", "must be a percentage or an amount"}
	case off < 1 || off > limit:
		return nil, &Invalid{field, "DISCOUNT_OUT_OF_RANGE", "must be above zero and within its limit"}
	case len(p.skus) > maxPromotionSKUs:
		return nil, &Invalid{"skus", "SKUS_TOO_MANY", "must be at most 1,000"}
	case p.coupon != "" && !validKey(p.coupon):
		return nil, &Invalid{"coupon", "COUPON_INVALID", keyForm}
	case m.GetMinQuantity() < 0:
		return nil, &Invalid{"min_quantity", "MIN_QUANTITY_INVALID", "must not be negative"}
	case !validCurrency(p.currency):
		return nil, &Invalid{"budget.currency_code", "CURRENCY_INVALID", "must be three of A-Z"}
	case m.GetBudget().GetMinorUnits() < 0:
		return nil, &Invalid{"budget.minor_units", "BUDGET_INVALID", "must not be negative"}
	}
	for _, sku := range p.skus {
		if !validKey(sku) {
			return nil, &Invalid{"skus", "SKU_INVALID", keyForm}
		}
	}
	return p, nil
}

// category returns the category that a text means.
func category(text string) string {
	if text == "" {
		return standardCategory
	}
	return text
}

func (p *promotion) applies(currency string, quantity int64, coupons []string, now time.Time) bool {
	if p.exhausted || p.currency != currency || quantity < p.minQuantity {
		return false
	}
	if !p.startsAt.IsZero() && now.Before(p.startsAt) || !p.endsAt.IsZero() && !now.Before(p.endsAt) {
		return false
	}
	if p.coupon == "" {
		return true
	}
	for _, coupon := range coupons {
		if coupon == p.coupon {
			return true
		}
	}
	return false
}

// discount returns what it takes off a line, which is at most list.
func (p *promotion) discount(list, quantity int64) int64 {
	var off int64
	var ok bool
	if p.amountOffMinor > 0 {
		off, ok = multiply(p.amountOffMinor, quantity)
	} else {
		off, ok = share(list, p.percentOffPPM)
	}
	if !ok {
		return list
	}
	return min(off, list)
}
