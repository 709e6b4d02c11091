package pricing_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hybrid/interop/pricing"
)

// number is an int64 of protobuf's JSON, which writes it as text.
type number int64

func (n *number) UnmarshalJSON(text []byte) error {
	value, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*n = number(value)
	return err
}

type amount struct {
	CurrencyCode string
	MinorUnits   number
}

type vector struct {
	Name    string
	Now     time.Time
	Catalog struct {
		Items []struct {
			SKU, TaxCategory string
			UnitPrice        amount
		}
		TaxRules []struct {
			Jurisdiction, Category string
			RatePPM                number
		}
		Promotions []struct {
			PromotionID                   string
			CreatedVersion                number
			PercentOffPPM, AmountOffMinor number
			SKUs                          []string
			Coupon                        string
			MinQuantity                   number
			StartsAt, EndsAt              time.Time
			Budget                        amount
			Exhausted                     bool
		}
	}
	Request struct {
		CurrencyCode, Jurisdiction string
		Lines                      []struct {
			SKU      string
			Quantity number
		}
		Coupons []string
	}
	Response *struct {
		Lines []struct {
			UnitPriceMinor, DiscountMinor, NetMinor, TaxMinor, GrossMinor, TaxRatePPM number
			PromotionID                                                               string
			PromotionCreatedVersion                                                   number
		}
		DiscountMinor, NetMinor, TaxMinor, GrossMinor number
	}
	Error *struct{ Code, Reason, Field string }
}

func vectors(t *testing.T) []vector {
	t.Helper()
	files, err := filepath.Glob("../../../../protos/testdata/pricing/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var all []vector
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Cases []vector }
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, file.Cases...)
	}
	return all
}

func snapshot(t *testing.T, v vector) *pricing.Snapshot {
	t.Helper()
	c, err := pricing.NewCatalog()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range v.Catalog.Items {
		err = errors.Join(err, c.PutItem(i.SKU, i.UnitPrice.CurrencyCode, int64(i.UnitPrice.MinorUnits), i.TaxCategory))
	}
	for _, r := range v.Catalog.TaxRules {
		err = errors.Join(err, c.PutTaxRule(r.Jurisdiction, r.Category, int64(r.RatePPM)))
	}
	for _, p := range v.Catalog.Promotions {
		err = errors.Join(err, c.PutPromotion(pricing.Promotion{
			ID: p.PromotionID, CreatedVersion: int64(p.CreatedVersion), PercentOffPPM: int64(p.PercentOffPPM), AmountOffMinor: int64(p.AmountOffMinor),
			SKUs: p.SKUs, Coupon: p.Coupon, MinQuantity: int64(p.MinQuantity), StartsAt: p.StartsAt, EndsAt: p.EndsAt,
			BudgetCurrency: p.Budget.CurrencyCode, BudgetMinor: int64(p.Budget.MinorUnits), Exhausted: p.Exhausted,
		}))
	}
	if err != nil {
		c.Close()
		t.Fatal(err)
	}
	s := c.Finish(1)
	t.Cleanup(s.Close)
	return s
}

func basket(t *testing.T, v vector) *pricing.Basket {
	t.Helper()
	lines := make([]pricing.Line, 0, len(v.Request.Lines))
	for _, l := range v.Request.Lines {
		lines = append(lines, pricing.Line{SKU: l.SKU, Quantity: int64(l.Quantity)})
	}
	b := pricing.NewBasket(v.Request.CurrencyCode, v.Request.Jurisdiction, lines, v.Request.Coupons...)
	t.Cleanup(b.Close)
	return b
}

func TestGoldenVectors(t *testing.T) {
	codes := map[string]int{"INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "FAILED_PRECONDITION": 9, "OUT_OF_RANGE": 11}
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			b := basket(t, v)
			totals, err := snapshot(t, v).Quote(b, v.Now)
			if v.Error != nil {
				var failed *pricing.Error
				want := pricing.Error{Code: codes[v.Error.Code], Reason: v.Error.Reason, Field: v.Error.Field}
				if !errors.As(err, &failed) || *failed != want {
					t.Fatalf("got error %v, want %v", err, &want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := pricing.Totals{
				SnapshotVersion: 1, DiscountMinor: int64(v.Response.DiscountMinor), NetMinor: int64(v.Response.NetMinor),
				TaxMinor: int64(v.Response.TaxMinor), GrossMinor: int64(v.Response.GrossMinor),
			}
			var lines []pricing.PricedLine
			for _, l := range v.Response.Lines {
				lines = append(lines, pricing.PricedLine{
					UnitPriceMinor: int64(l.UnitPriceMinor), DiscountMinor: int64(l.DiscountMinor), NetMinor: int64(l.NetMinor), TaxMinor: int64(l.TaxMinor),
					GrossMinor: int64(l.GrossMinor), TaxRatePPM: int64(l.TaxRatePPM), PromotionID: l.PromotionID,
					PromotionCreatedVersion: int64(l.PromotionCreatedVersion),
				})
			}
			if totals != want || !reflect.DeepEqual(b.Lines(), lines) {
				t.Errorf("got %+v %+v, want %+v %+v", totals, b.Lines(), want, lines)
			}
		})
	}
}

func TestManyGoroutinesAskOneSnapshot(t *testing.T) {
	v := vectors(t)[0]
	s := snapshot(t, v)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			b := basket(t, v)
			for range 1_000 {
				if totals, err := s.Quote(b, v.Now); err != nil || totals.GrossMinor != int64(v.Response.GrossMinor) {
					t.Errorf("got %v, %v", totals, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestAPanicIsAnError(t *testing.T) {
	var failed *pricing.Error
	if err := pricing.Panic(); !errors.As(err, &failed) || failed.Code != 13 || failed.Reason != "PANIC" {
		t.Errorf("got %v", err)
	}
}

func TestAQuoteAllocatesNothing(t *testing.T) {
	v := vectors(t)[0]
	s, b := snapshot(t, v), basket(t, v)
	if allocations := testing.AllocsPerRun(1_000, func() { _, _ = s.Quote(b, v.Now) }); allocations != 0 {
		t.Errorf("a quote allocates %v times", allocations)
	}
}
