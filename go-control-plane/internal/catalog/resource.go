// Package catalog has the resources of the catalog (items, tax rules and promotions), their validation, and their use cases.
// It does not depend on storage or transport.
package catalog

import (
	"time"

	"hybrid/control-plane/internal/money"
)

// StandardCategory is the tax category of items and tax rules that name none.
const StandardCategory = "standard"

// Kind is a type of resource.
type Kind string

// The kinds of resource. Their values are part of the digest of a snapshot and of Kafka keys.
const (
	KindItem      Kind = "item"
	KindTaxRule   Kind = "tax_rule"
	KindPromotion Kind = "promotion"
)

// Key names a resource.
type Key struct {
	Kind Kind
	// Name is the sku, "<jurisdiction>/<category>", or the promotion id.
	Name string
}

// String returns "<kind>/<name>".
func (k Key) String() string { return string(k.Kind) + "/" + k.Name }

// Resource is an Item, a TaxRule or a Promotion.
type Resource interface {
	Item | TaxRule | Promotion
	AnyResource
}

// AnyResource is implemented by all resources.
type AnyResource interface {
	// Key names the resource.
	Key() Key
	// ResourceVersion is the catalog version of the write that last changed it.
	ResourceVersion() int64
}

// Item is something that is sold.
type Item struct {
	SKU  string
	Name string
	// UnitPrice is for one piece, before discount and tax.
	UnitPrice money.Money
	// TaxCategory selects the tax rule, together with a quote's jurisdiction.
	TaxCategory string
	Version     int64
	UpdatedAt   time.Time
}

// TaxRule is the tax rate of one category in one jurisdiction.
type TaxRule struct {
	Jurisdiction string
	Category     string
	// RatePPM is in parts per million of the net amount.
	RatePPM   int64
	Version   int64
	UpdatedAt time.Time
}

// Promotion is a discount with a budget.
type Promotion struct {
	ID   string
	Name string
	// PercentOffPPM is in parts per million of a line's list amount. Zero when AmountOffMinor is set.
	PercentOffPPM int64
	// AmountOffMinor is the discount on each piece. Zero when PercentOffPPM is set.
	AmountOffMinor int64
	// SKUs are the items that it applies to; empty means all.
	SKUs []string
	// Coupon must be among the coupons of a quote; empty means that none is needed.
	Coupon string
	// MinQuantity is the smallest quantity of a line that it applies to; 0 means 1.
	MinQuantity int64
	// StartsAt is the first instant at which it applies; zero means no start.
	StartsAt time.Time
	// EndsAt is the first instant at which it no longer applies; zero means no end.
	EndsAt time.Time
	// Budget is the largest sum of its discounts.
	Budget money.Money
	// SpentMinor is the discount that the ledger has booked.
	SpentMinor int64
	// Exhausted is true once SpentMinor has reached the budget.
	Exhausted bool
	// CreatedVersion is the catalog version of the write that created it. It tells the promotion from others that had its id
	// before. Left out where it is 0, so that the content of a create has the hash that it had before there was this field.
	CreatedVersion int64 `json:",omitempty"`
	Version        int64
	UpdatedAt      time.Time
}

// Key returns the key with the item's sku.
func (i Item) Key() Key { return Key{KindItem, i.SKU} }

// ResourceVersion returns the version of the write that last changed the item.
func (i Item) ResourceVersion() int64 { return i.Version }

// Key returns the key with "<jurisdiction>/<category>".
func (r TaxRule) Key() Key { return Key{KindTaxRule, TaxRuleName(r.Jurisdiction, r.Category)} }

// ResourceVersion returns the version of the write that last changed the rule.
func (r TaxRule) ResourceVersion() int64 { return r.Version }

// Key returns the key with the promotion's id.
func (p Promotion) Key() Key { return Key{KindPromotion, p.ID} }

// ResourceVersion returns the version of the write that last changed the promotion.
func (p Promotion) ResourceVersion() int64 { return p.Version }

// TaxRuleName joins the two parts of a tax rule's key; an empty category is the standard one.
func TaxRuleName(jurisdiction, category string) string {
	if category == "" {
		category = StandardCategory
	}
	return jurisdiction + "/" + category
}

// Replacing returns the item that replaces current.
func (i Item) Replacing(Item) (Item, error) { return i, nil }

// Replacing returns the rule that replaces current.
func (r TaxRule) Replacing(TaxRule) (TaxRule, error) { return r, nil }

// Replacing returns the promotion that replaces current. It keeps what was spent and when it was created, and it fails if the currency of the budget
// changes after something was spent.
func (p Promotion) Replacing(current Promotion) (Promotion, error) {
	if current.SpentMinor != 0 && p.Budget.Currency != current.Budget.Currency {
		return p, Invalid("budget.currency_code", "cannot change, for discount was already given in "+current.Budget.Currency)
	}
	p.SpentMinor, p.CreatedVersion = current.SpentMinor, current.CreatedVersion
	p.Exhausted = p.SpentMinor >= p.Budget.Minor
	return p, nil
}
