package pricing

import (
	"maps"
	"slices"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
)

// Catalog is what quotes are priced by. It never changes, so any number of goroutines may read it.
type Catalog struct {
	version    int64
	items      map[string]item
	rates      map[taxKey]int64
	promotions map[string]*promotion
	// bySKU has the promotions by the skus that they name, everywhere those that name none.
	bySKU      map[string][]*promotion
	everywhere []*promotion
}

// Version returns the catalog version.
func (c *Catalog) Version() int64 { return c.version }

// Items returns the number of items.
func (c *Catalog) Items() int { return len(c.items) }

// WithoutDiscounts returns the same catalog without promotions.
func (c *Catalog) WithoutDiscounts() *Catalog {
	return &Catalog{version: c.version, items: c.items, rates: c.rates}
}

// Edit makes the next catalog from one, which stays as it is. A map is copied when the first change to it comes.
type Edit struct {
	next                                 Catalog
	ownsItems, ownsRates, ownsPromotions bool
}

// Edit begins the next catalog.
func (c *Catalog) Edit() *Edit { return &Edit{next: *c} }

// PutItem adds or replaces an item. Its error is an *Invalid, and then nothing has changed.
func (e *Edit) PutItem(m *catalogv1.Item) error {
	i, err := readItem(m)
	if err != nil {
		return err
	}
	own(&e.next.items, &e.ownsItems)[m.GetSku()] = i
	return nil
}

// PutTaxRule adds or replaces a tax rule. Its error is an *Invalid, and then nothing has changed.
func (e *Edit) PutTaxRule(m *catalogv1.TaxRule) error {
	key, err := readTaxRule(m)
	if err != nil {
		return err
	}
	own(&e.next.rates, &e.ownsRates)[key] = m.GetRatePpm()
	return nil
}

// PutPromotion adds or replaces a promotion. Its error is an *Invalid, and then nothing has changed.
func (e *Edit) PutPromotion(m *catalogv1.Promotion) error {
	p, err := readPromotion(m)
	if err != nil {
		return err
	}
	own(&e.next.promotions, &e.ownsPromotions)[p.id] = p
	return nil
}

// RemoveItem removes an item, if it is there.
func (e *Edit) RemoveItem(sku string) { delete(own(&e.next.items, &e.ownsItems), sku) }

// RemoveTaxRule removes a tax rule, if it is there.
func (e *Edit) RemoveTaxRule(jurisdiction, category string) {
	delete(own(&e.next.rates, &e.ownsRates), taxKey{jurisdiction, category})
}

// RemovePromotion removes a promotion, if it is there.
func (e *Edit) RemovePromotion(id string) { delete(own(&e.next.promotions, &e.ownsPromotions), id) }

// Finish returns the next catalog. The edit must not be used after that.
func (e *Edit) Finish(version int64) *Catalog {
	c := e.next
	c.version = version
	if e.ownsPromotions {
		c.bySKU, c.everywhere = map[string][]*promotion{}, nil
		for _, p := range c.promotions {
			if len(p.skus) == 0 {
				c.everywhere = append(c.everywhere, p)
			}
			skus := slices.Clone(p.skus)
			slices.Sort(skus)
			for _, sku := range slices.Compact(skus) {
				c.bySKU[sku] = append(c.bySKU[sku], p)
			}
		}
	}
	return &c
}

func own[K comparable, V any](m *map[K]V, owned *bool) map[K]V {
	if !*owned {
		*owned = true
		if *m = maps.Clone(*m); *m == nil {
			*m = map[K]V{}
		}
	}
	return *m
}
