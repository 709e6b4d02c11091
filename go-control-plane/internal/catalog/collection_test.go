package catalog_test

import (
	"context"
	"errors"
	"fmt"
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

func (m *memory) CreateAll(_ context.Context, all []catalog.Item, requestID string) ([]catalog.Item, error) {
	m.items, m.requestID = append(m.items, all...), requestID
	return all, nil
}

func (m *memory) List(_ context.Context, after string, limit int) (page []catalog.Item, more bool, err error) {
	for _, i := range m.items {
		switch {
		case i.SKU <= after:
		case len(page) == limit:
			return page, true, nil
		default:
			page = append(page, i)
		}
	}
	return page, false, nil
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
		"valid":             {item: valid},
		"longest sku":       {item: with(func(i *catalog.Item) { i.SKU = strings.Repeat("a", 64) })},
		"every character":   {item: with(func(i *catalog.Item) { i.SKU = "AZaz09._-" })},
		"dearest":           {item: with(func(i *catalog.Item) { i.UnitPrice.Minor = catalog.MaxAmountMinor })},
		"longest category":  {item: with(func(i *catalog.Item) { i.TaxCategory = strings.Repeat("z", 32) })},
		"shortest category": {item: with(func(i *catalog.Item) { i.TaxCategory = "-" })},
		"long category":     {item: with(func(i *catalog.Item) { i.TaxCategory = strings.Repeat("z", 33) }), fields: []string{"tax_category"}},
		"last control":      {item: with(func(i *catalog.Item) { i.Name = "a\x1fb" }), fields: []string{"name"}},
		"delete":            {item: with(func(i *catalog.Item) { i.Name = "a\x7fb" }), fields: []string{"name"}},
		"inner space":       {item: with(func(i *catalog.Item) { i.Name = "a b" })},
		"free":              {item: with(func(i *catalog.Item) { i.UnitPrice.Minor = 0 })},
		"all wrong":         {catalog.Item{TaxCategory: "UPPER"}, "no uuid", []string{"sku", "name", "unit_price.currency_code", "tax_category", "request_id"}},
		"negative":          {item: with(func(i *catalog.Item) { i.UnitPrice.Minor = -1 }), fields: []string{"unit_price.minor_units"}},
		"huge":              {item: with(func(i *catalog.Item) { i.UnitPrice.Minor = catalog.MaxAmountMinor + 1 }), fields: []string{"unit_price.minor_units"}},
		"sku with a slash":  {item: with(func(i *catalog.Item) { i.SKU = "a/b" }), fields: []string{"sku"}},
		"sku of a dot":      {item: with(func(i *catalog.Item) { i.SKU = "." }), fields: []string{"sku"}},
		"sku of two dots":   {item: with(func(i *catalog.Item) { i.SKU = ".." }), fields: []string{"sku"}},
		"long sku":          {item: with(func(i *catalog.Item) { i.SKU = strings.Repeat("a", 65) }), fields: []string{"sku"}},
		"long name":         {item: with(func(i *catalog.Item) { i.Name = strings.Repeat("é", 201) }), fields: []string{"name"}},
		"longest name":      {item: with(func(i *catalog.Item) { i.Name = strings.Repeat("é", 200) })},
		"blank name":        {item: with(func(i *catalog.Item) { i.Name = "  " }), fields: []string{"name"}},
		"line break":        {item: with(func(i *catalog.Item) { i.Name = "a\nb" }), fields: []string{"name"}},
		"only a bad id":     {valid, "{", []string{"request_id"}},
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

func (accepting) Delete(context.Context, string, int64) error { return nil }

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
		"valid":            {func(*catalog.Promotion) {}, nil},
		"all of it":        {func(p *catalog.Promotion) { p.PercentOffPPM = 1_000_000 }, nil},
		"least percent":    {func(p *catalog.Promotion) { p.PercentOffPPM = 1 }, nil},
		"least amount":     {func(p *catalog.Promotion) { p.PercentOffPPM, p.AmountOffMinor = 0, 1 }, nil},
		"most amount":      {func(p *catalog.Promotion) { p.PercentOffPPM, p.AmountOffMinor = 0, catalog.MaxAmountMinor }, nil},
		"huge amount":      {func(p *catalog.Promotion) { p.PercentOffPPM, p.AmountOffMinor = 0, catalog.MaxAmountMinor+1 }, []string{"amount_off_minor"}},
		"most skus":        {func(p *catalog.Promotion) { p.SKUs = slices.Repeat([]string{"a"}, 1000) }, nil},
		"last sku bad":     {func(p *catalog.Promotion) { p.SKUs = append(slices.Repeat([]string{"a"}, 999), "a b") }, []string{"skus[999]"}},
		"beyond the limit": {func(p *catalog.Promotion) { p.SKUs = append(slices.Repeat([]string{"a"}, 1000), "a b") }, []string{"skus"}},
		"most quantity":    {func(p *catalog.Promotion) { p.MinQuantity = 1_000_000 }, nil},
		"no quantity":      {func(p *catalog.Promotion) { p.MinQuantity = -1 }, []string{"min_quantity"}},
		"bad coupon":       {func(p *catalog.Promotion) { p.Coupon = "a b" }, []string{"coupon"}},
		"first instant":    {func(p *catalog.Promotion) { p.StartsAt = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC) }, nil},
		"before it":        {func(p *catalog.Promotion) { p.StartsAt = time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC) }, []string{"starts_at"}},
		"last instant":     {func(p *catalog.Promotion) { p.EndsAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }, nil},
		"after it":         {func(p *catalog.Promotion) { p.EndsAt = time.Date(9999, 12, 31, 23, 59, 59, 1, time.UTC) }, []string{"ends_at"}},
		"just after start": {func(p *catalog.Promotion) { p.StartsAt, p.EndsAt = instant, instant.Add(time.Nanosecond) }, nil},
		"budget of 0":      {func(p *catalog.Promotion) { p.Budget.Minor = 0 }, nil},
		"no discount":      {func(p *catalog.Promotion) { p.PercentOffPPM = 0 }, []string{"discount"}},
		"two discounts":    {func(p *catalog.Promotion) { p.AmountOffMinor = 1 }, []string{"discount"}},
		"more than all":    {func(p *catalog.Promotion) { p.PercentOffPPM = 1_000_001 }, []string{"percent_off_ppm"}},
		"negative":         {func(p *catalog.Promotion) { p.PercentOffPPM, p.AmountOffMinor = 0, -1 }, []string{"amount_off_minor"}},
		"bad sku":          {func(p *catalog.Promotion) { p.SKUs = []string{"ok", "not ok"} }, []string{"skus[1]"}},
		"too many skus":    {func(p *catalog.Promotion) { p.SKUs = slices.Repeat([]string{"a"}, 1001) }, []string{"skus"}},
		"ends at start":    {func(p *catalog.Promotion) { p.StartsAt, p.EndsAt = instant, instant }, []string{"ends_at"}},
		"far future":       {func(p *catalog.Promotion) { p.EndsAt = instant.AddDate(9000, 0, 0) }, []string{"ends_at"}},
		"no budget":        {func(p *catalog.Promotion) { p.Budget = money.Money{} }, []string{"budget.currency_code"}},
		"budget below 0":   {func(p *catalog.Promotion) { p.Budget.Minor = -1 }, []string{"budget.minor_units"}},
		"huge quantity":    {func(p *catalog.Promotion) { p.MinQuantity = 1_000_001 }, []string{"min_quantity"}},
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

// rules is a repository that takes every rule.
type rules struct {
	catalog.Repository[catalog.TaxRule]
}

func (rules) Create(_ context.Context, r catalog.TaxRule, _ string) (catalog.TaxRule, error) {
	return r, nil
}

func TestTaxRuleLimits(t *testing.T) {
	for name, c := range map[string]struct {
		rule   catalog.TaxRule
		fields []string
	}{
		"shortest":           {catalog.TaxRule{Jurisdiction: "A9", Category: "a", RatePPM: 0}, nil},
		"longest":            {catalog.TaxRule{Jurisdiction: strings.Repeat("Z", 16), Category: strings.Repeat("9", 32), RatePPM: 1_000_000}, nil},
		"below":              {catalog.TaxRule{Jurisdiction: "A", RatePPM: -1}, []string{"jurisdiction", "rate_ppm"}},
		"above":              {catalog.TaxRule{Jurisdiction: strings.Repeat("Z", 17), RatePPM: 1_000_001}, []string{"jurisdiction", "rate_ppm"}},
		"just outside A-Z":   {catalog.TaxRule{Jurisdiction: "A@"}, []string{"jurisdiction"}},
		"just past Z":        {catalog.TaxRule{Jurisdiction: "A["}, []string{"jurisdiction"}},
		"just outside 0-9":   {catalog.TaxRule{Jurisdiction: "A/"}, []string{"jurisdiction"}},
		"just past 9":        {catalog.TaxRule{Jurisdiction: "A:"}, []string{"jurisdiction"}},
		"just outside a-z":   {catalog.TaxRule{Jurisdiction: "DE", Category: "`"}, []string{"category"}},
		"just past z":        {catalog.TaxRule{Jurisdiction: "DE", Category: "{"}, []string{"category"}},
		"the first and last": {catalog.TaxRule{Jurisdiction: "AZ09-", Category: "az09-"}, nil},
	} {
		_, err := catalog.NewCollection[catalog.TaxRule](rules{}).Create(t.Context(), c.rule, "")
		if got := fields(err); !slices.Equal(got, c.fields) {
			t.Errorf("%s: violations %v, want %v", name, got, c.fields)
		}
	}
}

func TestVersionsAndPageSizesAtTheirLimits(t *testing.T) {
	items := catalog.NewCollection[catalog.Promotion](accepting{})
	valid := catalog.Promotion{ID: "p", Name: "P", PercentOffPPM: 1, Budget: money.Money{Currency: "EUR"}}
	for version, want := range map[int64][]string{-1: {"version"}, 0: {"version"}, 1: nil} {
		valid.Version = version
		if _, err := items.Update(t.Context(), valid); !slices.Equal(fields(err), want) {
			t.Errorf("update of version %d: %v", version, err)
		}
		if err := items.Delete(t.Context(), "p", version); !slices.Equal(fields(err), want) {
			t.Errorf("delete of version %d: %v", version, err)
		}
	}
	for asked, want := range map[int]int{-1: 0, 0: catalog.DefaultPageSize, 1: 1, 1000: 1000, 1001: 0} {
		if got, err := catalog.PageSize(asked); got != want || (err == nil) != (want > 0) {
			t.Errorf("page size %d: %d, %v", asked, got, err)
		}
	}
	for length, ok := range map[int]bool{1: true, 254: true, 255: false} {
		name := strings.Repeat("a", length)
		if last, err := catalog.ParsePageToken("item", catalog.PageToken("item", name)); (err == nil) != ok || (ok && last != name) {
			t.Errorf("token of %d characters: %v", length, err)
		}
	}
	for _, name := range []string{"\x00", "a\x00", "\xff", ""} {
		if _, err := catalog.ParsePageToken("item", catalog.PageToken("item", name)); err == nil {
			t.Errorf("the token of %q was read", name)
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

func TestFullLastPageHasNoSuccessor(t *testing.T) {
	repository := &memory{items: []catalog.Item{{SKU: "a"}, {SKU: "b"}}}
	page, next, err := catalog.NewCollection[catalog.Item](repository).List(t.Context(), 2, "")
	if err != nil || len(page) != 2 || next != "" {
		t.Errorf("%v, next %q, %v", page, next, err)
	}
}

// The token of one list is none of another.
func TestPageTokensBelongToTheirList(t *testing.T) {
	for _, list := range []string{"item", "tax_rule", "promotion", "ledger_entry", ""} {
		token := catalog.PageToken(list, "a:b")
		for _, other := range []string{"item", "tax_rule", "promotion", "ledger_entry"} {
			if last, err := catalog.ParsePageToken(other, token); (err == nil) != (other == list) || (err == nil && last != "a:b") {
				t.Errorf("the token of %q in %q: %q, %v", list, other, last, err)
			}
		}
	}
	items := catalog.NewCollection[catalog.Item](&memory{})
	if _, _, err := items.List(t.Context(), 1, catalog.PageToken("promotion", "half")); !slices.Equal(fields(err), []string{"page_token"}) {
		t.Errorf("items with a token of promotions: %v", err)
	}
}

// Names that no store can have are not found, without asking it: the repository here would panic.
func TestImpossibleNamesAreNotFound(t *testing.T) {
	items := catalog.NewCollection[catalog.Item](&memory{})
	for _, name := range []string{"\x00", "\x00a", "a\x00", "\xff", "a\xff\x00"} {
		var about *catalog.KeyError
		if _, err := items.Get(t.Context(), name); !errors.Is(err, catalog.ErrNotFound) || !errors.As(err, &about) || about.Key.Name != name {
			t.Errorf("get %q: %v", name, err)
		}
		if err := items.Delete(t.Context(), name, 1); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("delete %q: %v", name, err)
		}
	}
}

func TestNamesOfTaxRules(t *testing.T) {
	for want, rule := range map[string]catalog.TaxRule{"tax_rule/DE/standard": {Jurisdiction: "DE"}, "tax_rule/DE/books": {Jurisdiction: "DE", Category: "books"}} {
		if got := rule.Key().String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCreatingMany(t *testing.T) {
	named := func(skus ...string) []catalog.Item {
		items := make([]catalog.Item, len(skus))
		for i, sku := range skus {
			items[i] = catalog.Item{SKU: sku, Name: "X", UnitPrice: money.Money{Currency: "EUR"}}
		}
		return items
	}
	many := make([]string, catalog.MaxBatch+1)
	for i := range many {
		many[i] = fmt.Sprint("sku-", i)
	}
	for name, c := range map[string]struct {
		items     []catalog.Item
		requestID string
		fields    []string
	}{
		"one":      {items: named("a")},
		"most":     {items: named(many[:catalog.MaxBatch]...), requestID: "AAAAAAAA-0000-0000-0000-000000000000"},
		"none":     {nil, "", []string{"items"}},
		"too many": {named(many...), "", []string{"items"}},
		"twice":    {named("a", "b", "a"), "", []string{"items[2]"}},
		"invalid":  {append(named("a", "b c"), catalog.Item{SKU: "d", Name: "D", UnitPrice: money.Money{Currency: "eur"}}), "x", []string{"items[1].sku", "items[2].unit_price.currency_code", "request_id"}},
	} {
		m := &memory{}
		created, err := catalog.NewCollection[catalog.Item](m).CreateAll(t.Context(), c.items, "items", c.requestID)
		if got := fields(err); !slices.Equal(got, c.fields) {
			t.Errorf("%s: violations %v, want %v", name, got, c.fields)
		}
		if c.fields == nil && (len(m.items) != len(c.items) || len(created) != len(c.items) || created[0].TaxCategory != "standard" || m.requestID != strings.ToLower(c.requestID)) {
			t.Errorf("%s: %d stored, request id %q", name, len(m.items), m.requestID)
		}
		if c.fields != nil && len(m.items) != 0 {
			t.Errorf("%s: %d stored", name, len(m.items))
		}
	}
}
