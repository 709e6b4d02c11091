package snapshot

import (
	"testing"
	"time"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	moneyv1 "hybrid/control-plane/gen/hybrid/money/v1"
	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
)

func item(sku string, price, version int64) *snapshotv1.Resource {
	return &snapshotv1.Resource{Resource: &snapshotv1.Resource_Item{Item: &catalogv1.Item{
		Sku: sku, UnitPrice: &moneyv1.Money{CurrencyCode: "EUR", MinorUnits: price}, Version: version,
	}}}
}

func taxRule(version int64) *snapshotv1.Resource {
	return &snapshotv1.Resource{Resource: &snapshotv1.Resource_TaxRule{TaxRule: &catalogv1.TaxRule{Jurisdiction: "DE", Version: version}}}
}

func digest(paths map[string]int64) (sum uint64) {
	for path, version := range paths {
		sum += digestOf(path, version)
	}
	return sum
}

// price returns what one piece costs, 0 if it cannot be priced.
func price(s *state, sku string) int64 {
	quote, err := s.catalog.Price(&pricingv1.QuoteRequest{
		CurrencyCode: "EUR", Jurisdiction: "DE", Lines: []*pricingv1.QuoteLine{{Sku: sku, Quantity: 1}},
	}, time.Now())
	if err != nil {
		return 0
	}
	return quote.GetNetMinor()
}

func TestAnUpdateIsAppliedWholeOrNotAtAll(t *testing.T) {
	s := newState()
	whole := []*snapshotv1.Update{
		{Version: 3, Authoritative: true, Upserts: []*snapshotv1.Resource{item("a", 10, 1), item("b", 20, 2)}, MoreFollows: true},
		{
			Version: 3, Authoritative: true, Upserts: []*snapshotv1.Resource{taxRule(3)},
			Digest: digest(map[string]int64{"item/a": 1, "item/b": 2, "tax_rule/DE/standard": 3}),
		},
	}
	if rejects, err := s.apply(whole); err != nil || len(rejects) != 0 {
		t.Fatal(rejects, err)
	}
	old := s.catalog
	delta := &snapshotv1.Update{
		Version: 4, Upserts: []*snapshotv1.Resource{item("a", 11, 4)},
		Removals: []*snapshotv1.ResourceKey{{Type: snapshotv1.ResourceType_RESOURCE_TYPE_ITEM, Name: "b"}}, Digest: 1,
	}
	if _, err := s.apply([]*snapshotv1.Update{delta}); err == nil || s.version != 3 || price(s, "a") != 10 || price(s, "b") != 20 {
		t.Fatalf("a wrong digest was applied: %v", err)
	}
	delta.Digest = digest(map[string]int64{"item/a": 4, "tax_rule/DE/standard": 3})
	if _, err := s.apply([]*snapshotv1.Update{delta}); err != nil {
		t.Fatal(err)
	}
	if s.version != 4 || price(s, "a") != 11 || price(s, "b") != 0 {
		t.Errorf("version %d, a %d, b %d", s.version, price(s, "a"), price(s, "b"))
	}
	if price(&state{catalog: old}, "a") != 10 {
		t.Error("a catalog that quotes may hold has changed")
	}
}

func TestARejectedResourceGoesOnWithTheLastThatWasAccepted(t *testing.T) {
	s := newState()
	apply := func(want int, update *snapshotv1.Update) {
		t.Helper()
		if rejects, err := s.apply([]*snapshotv1.Update{update}); err != nil || len(rejects) != want {
			t.Fatal(rejects, err)
		}
	}
	apply(0, &snapshotv1.Update{
		Version: 2, Authoritative: true, Upserts: []*snapshotv1.Resource{item("a", 10, 1), taxRule(2)},
		Digest: digest(map[string]int64{"item/a": 1, "tax_rule/DE/standard": 2}),
	})
	bad := digest(map[string]int64{"item/a": 3, "tax_rule/DE/standard": 2})
	apply(1, &snapshotv1.Update{Version: 3, Upserts: []*snapshotv1.Resource{item("a", -1, 3)}, Digest: bad})
	apply(1, &snapshotv1.Update{
		Version: 3, Authoritative: true, Upserts: []*snapshotv1.Resource{item("a", -1, 3), taxRule(2)}, Digest: bad,
	})
	if price(s, "a") != 10 || len(s.rejects()) != 1 || s.rejects()[0].GetField() != "unit_price.minor_units" {
		t.Errorf("a costs %d, rejects %v", price(s, "a"), s.rejects())
	}
	apply(0, &snapshotv1.Update{
		Version: 4, Upserts: []*snapshotv1.Resource{item("a", 12, 4)}, Digest: digest(map[string]int64{"item/a": 4, "tax_rule/DE/standard": 2}),
	})
	if price(s, "a") != 12 || len(s.rejects()) != 0 {
		t.Errorf("a costs %d, rejects %v", price(s, "a"), s.rejects())
	}
}

func TestAResourceOfAnUnknownTypeCountsForTheDigestOnly(t *testing.T) {
	s := newState()
	update := &snapshotv1.Update{
		Version: 1, Authoritative: true, Upserts: []*snapshotv1.Resource{{Key: &snapshotv1.ResourceKey{Type: 9, Name: "x"}, Version: 1}},
		Digest: digest(map[string]int64{"9/x": 1}),
	}
	if _, err := s.apply([]*snapshotv1.Update{update}); err != nil || s.catalog.Items() != 0 {
		t.Fatal(err)
	}
}
