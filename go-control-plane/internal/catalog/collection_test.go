package catalog_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/money"
)

// memory is a repository of items that keeps what it is given.
type memory struct {
	catalog.Repository[catalog.Item]
	items     []catalog.Item
	requestID string
}

func (m *memory) Create(_ context.Context, i catalog.Item, requestID string) (catalog.Item, error) {
	m.items, m.requestID = append(m.items, i), requestID
	return i, nil
}

func (m *memory) List(_ context.Context, after string, limit int) ([]catalog.Item, error) {
	var page []catalog.Item
	for _, i := range m.items {
		if i.SKU > after && len(page) < limit {
			page = append(page, i)
		}
	}
	return page, nil
}

func fields(err error) []string {
	var invalid *catalog.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	var names []string
	for _, v := range invalid.Violations {
		names = append(names, v.Field)
	}
	return names
}

func TestCreateNamesEveryViolation(t *testing.T) {
	valid := catalog.Item{SKU: "mug", Name: "Mug", UnitPrice: money.Money{Currency: "EUR", Minor: 1050}}
	with := func(change func(*catalog.Item)) catalog.Item {
		i := valid
		change(&i)
		return i
	}
	for name, c := range map[string]struct {
		item      catalog.Item
		requestID string
		fields    []string
	}{
		"valid":            {item: valid},
		"free":             {item: with(func(i *catalog.Item) { i.UnitPrice.Minor = 0 })},
		"all wrong":        {catalog.Item{TaxCategory: "UPPER"}, "no uuid", []string{"sku", "name", "unit_price.currency_code", "tax_category", "request_id"}},
		"negative":         {item: with(func(i *catalog.Item) { i.UnitPrice.Minor = -1 }), fields: []string{"unit_price.minor_units"}},
		"huge":             {item: with(func(i *catalog.Item) { i.UnitPrice.Minor = catalog.MaxAmountMinor + 1 }), fields: []string{"unit_price.minor_units"}},
		"sku with a slash": {item: with(func(i *catalog.Item) { i.SKU = "a/b" }), fields: []string{"sku"}},
		"long sku":         {item: with(func(i *catalog.Item) { i.SKU = strings.Repeat("a", 65) }), fields: []string{"sku"}},
		"long name":        {item: with(func(i *catalog.Item) { i.Name = strings.Repeat("é", 201) }), fields: []string{"name"}},
		"longest name":     {item: with(func(i *catalog.Item) { i.Name = strings.Repeat("é", 200) })},
		"blank name":       {item: with(func(i *catalog.Item) { i.Name = "  " }), fields: []string{"name"}},
		"line break":       {item: with(func(i *catalog.Item) { i.Name = "a\nb" }), fields: []string{"name"}},
		"only a bad id":    {valid, "{", []string{"request_id"}},
	} {
		repository := &memory{}
		_, err := catalog.NewCollection[catalog.Item](repository).Create(context.Background(), c.item, c.requestID)
		if got := fields(err); !slices.Equal(got, c.fields) {
			t.Errorf("%s: violations %v, want %v", name, got, c.fields)
		}
		if stored := len(repository.items) == 1; stored != (c.fields == nil) {
			t.Errorf("%s: stored %v", name, stored)
		}
	}
}

// accepting is a repository that takes every update.
type accepting struct {
	catalog.Repository[catalog.Promotion]
}

func (accepting) Update(_ context.Context, p catalog.Promotion) (catalog.Promotion, error) {
	return p, nil
}

func TestPromotionRules(t *testing.T) {
	instant := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	valid := catalog.Promotion{ID: "half", Name: "Half", PercentOffPPM: 500_000, Budget: money.Money{Currency: "EUR", Minor: 100}}
	for name, c := range map[string]struct {
		change func(*catalog.Promotion)
		fields []string
	}{
		"valid":          {func(*catalog.Promotion) {}, nil},
		"no discount":    {func(p *catalog.Promotion) { p.PercentOffPPM = 0 }, []string{"discount"}},
		"two discounts":  {func(p *catalog.Promotion) { p.AmountOffMinor = 1 }, []string{"discount"}},
		"more than all":  {func(p *catalog.Promotion) { p.PercentOffPPM = 1_000_001 }, []string{"percent_off_ppm"}},
		"negative":       {func(p *catalog.Promotion) { p.PercentOffPPM, p.AmountOffMinor = 0, -1 }, []string{"amount_off_minor"}},
		"bad sku":        {func(p *catalog.Promotion) { p.SKUs = []string{"ok", "not ok"} }, []string{"skus[1]"}},
		"too many skus":  {func(p *catalog.Promotion) { p.SKUs = slices.Repeat([]string{"a"}, 1001) }, []string{"skus"}},
		"ends at start":  {func(p *catalog.Promotion) { p.StartsAt, p.EndsAt = instant, instant }, []string{"ends_at"}},
		"far future":     {func(p *catalog.Promotion) { p.EndsAt = instant.AddDate(9000, 0, 0) }, []string{"ends_at"}},
		"no budget":      {func(p *catalog.Promotion) { p.Budget = money.Money{} }, []string{"budget.currency_code"}},
		"budget below 0": {func(p *catalog.Promotion) { p.Budget.Minor = -1 }, []string{"budget.minor_units"}},
		"huge quantity":  {func(p *catalog.Promotion) { p.MinQuantity = 1_000_001 }, []string{"min_quantity"}},
	} {
		p := valid
		c.change(&p)
		p.Version = 1
		_, err := catalog.NewCollection[catalog.Promotion](accepting{}).Update(context.Background(), p)
		if got := fields(err); !slices.Equal(got, c.fields) {
			t.Errorf("%s: violations %v, want %v", name, got, c.fields)
		}
	}
}

func TestReplacingKeepsWhatWasSpent(t *testing.T) {
	current := catalog.Promotion{ID: "p", SpentMinor: 60, Budget: money.Money{Currency: "EUR", Minor: 100}}
	lower, err := catalog.Promotion{ID: "p", Budget: money.Money{Currency: "EUR", Minor: 60}}.Replacing(current)
	if err != nil || lower.SpentMinor != 60 || !lower.Exhausted {
		t.Errorf("lowered to what is spent: %+v, %v", lower, err)
	}
	higher, err := catalog.Promotion{ID: "p", Budget: money.Money{Currency: "EUR", Minor: 61}}.Replacing(lower)
	if err != nil || higher.Exhausted {
		t.Errorf("raised: %+v, %v", higher, err)
	}
	if _, err := (catalog.Promotion{ID: "p", Budget: money.Money{Currency: "USD", Minor: 61}}).Replacing(current); fields(err) == nil {
		t.Errorf("other currency: %v", err)
	}
}

func TestPagesHoldEverythingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skus := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9._-]{1,8}`), 0, 30, rapid.ID).Draw(t, "skus")
		slices.Sort(skus)
		repository := &memory{}
		for _, sku := range skus {
			repository.items = append(repository.items, catalog.Item{SKU: sku})
		}
		items := catalog.NewCollection[catalog.Item](repository)
		size := rapid.IntRange(1, 10).Draw(t, "size")
		var seen []string
		for token := ""; ; {
			page, next, err := items.List(context.Background(), size, token)
			if err != nil || len(page) > size {
				t.Fatalf("page of %d, %v", len(page), err)
			}
			for _, i := range page {
				seen = append(seen, i.SKU)
			}
			if token = next; token == "" {
				break
			}
		}
		if !slices.Equal(seen, skus) {
			t.Fatalf("pages of %d hold %v, want %v", size, seen, skus)
		}
	})
}

func FuzzPageToken(f *testing.F) {
	f.Add("")
	f.Add(catalog.PageToken("mug"))
	f.Add("MTo")
	f.Fuzz(func(t *testing.T, token string) {
		last, err := catalog.ParsePageToken(token)
		if err == nil && token != "" && catalog.PageToken(last) != token {
			t.Fatalf("%q means %q, whose token is %q", token, last, catalog.PageToken(last))
		}
	})
}
