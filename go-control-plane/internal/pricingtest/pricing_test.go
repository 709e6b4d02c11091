package pricingtest_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/money"
	"hybrid/control-plane/internal/pricingtest"
)

type vector struct {
	Name    string    `json:"name"`
	Now     time.Time `json:"now"`
	Catalog struct {
		Items      []json.RawMessage `json:"items"`
		TaxRules   []json.RawMessage `json:"taxRules"`
		Promotions []json.RawMessage `json:"promotions"`
	} `json:"catalog"`
	Request  json.RawMessage `json:"request"`
	Response json.RawMessage `json:"response"`
	Error    *struct {
		Reason string `json:"reason"`
		Field  string `json:"field"`
	} `json:"error"`
}

func TestGoldenVectors(t *testing.T) {
	files, err := filepath.Glob("../../../protos/testdata/pricing/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden vectors: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors struct{ Cases []vector }
		if err := json.Unmarshal(content, &vectors); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(vectors.Cases) == 0 {
			t.Errorf("%s has no cases", file)
		}
		for _, v := range vectors.Cases {
			t.Run(filepath.Base(file)+"/"+v.Name, func(t *testing.T) { v.run(t) })
		}
	}
}

func (v vector) run(t *testing.T) {
	c := pricingtest.NewCatalog(
		decode(t, v.Catalog.Items, contract.ToItem, func() *catalogv1.Item { return &catalogv1.Item{} }),
		decode(t, v.Catalog.TaxRules, contract.ToTaxRule, func() *catalogv1.TaxRule { return &catalogv1.TaxRule{} }),
		decode(t, v.Catalog.Promotions, func(m *catalogv1.Promotion) catalog.Promotion {
			p := contract.ToPromotion(m)
			p.Exhausted = m.GetExhausted()
			return p
		}, func() *catalogv1.Promotion { return &catalogv1.Promotion{} }))
	var m pricingv1.QuoteRequest
	if err := protojson.Unmarshal(v.Request, &m); err != nil {
		t.Fatal(err)
	}
	request := pricingtest.Request{Currency: m.GetCurrencyCode(), Jurisdiction: m.GetJurisdiction(), Coupons: m.GetCoupons()}
	for _, l := range m.GetLines() {
		request.Lines = append(request.Lines, pricingtest.Line{SKU: l.GetSku(), Quantity: l.GetQuantity()})
	}
	quote, err := c.Price(request, v.Now)
	if v.Error != nil {
		var failure *pricingtest.Error
		if !errors.As(err, &failure) || string(failure.Reason) != v.Error.Reason || failure.Field != v.Error.Field {
			t.Fatalf("got %+v, %v; want %+v", quote, err, *v.Error)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var want pricingv1.QuoteResponse
	if err := protojson.Unmarshal(v.Response, &want); err != nil {
		t.Fatal(err)
	}
	if got := response(request, quote); !proto.Equal(got, &want) {
		t.Errorf("got  %v\nwant %v", got, &want)
	}
}

func decode[M proto.Message, R any](t *testing.T, raw []json.RawMessage, convert func(M) R, empty func() M) []R {
	t.Helper()
	var list []R
	for _, r := range raw {
		m := empty()
		if err := protojson.Unmarshal(r, m); err != nil {
			t.Fatal(err)
		}
		list = append(list, convert(m))
	}
	return list
}

func response(r pricingtest.Request, q pricingtest.Quote) *pricingv1.QuoteResponse {
	m := &pricingv1.QuoteResponse{
		CurrencyCode: r.Currency, Jurisdiction: r.Jurisdiction,
		DiscountMinor: q.Discount, NetMinor: q.Net, TaxMinor: q.Tax, GrossMinor: q.Gross,
	}
	for _, l := range q.Lines {
		m.Lines = append(m.Lines, &pricingv1.PricedLine{
			Sku: l.SKU, Quantity: l.Quantity, UnitPriceMinor: l.UnitPrice, DiscountMinor: l.Discount, NetMinor: l.Net,
			TaxMinor: l.Tax, GrossMinor: l.Gross, TaxRatePpm: l.TaxRatePPM, PromotionId: l.PromotionID,
		})
	}
	return m
}

// Whatever the basket, the amounts add up, and no other promotion would have been better.
func TestQuotesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.Int64Range(0, catalog.MaxAmountMinor).Draw(t, "price")
		quantity := rapid.Int64Range(1, pricingtest.MaxQuantity).Draw(t, "quantity")
		rate := rapid.Int64Range(0, money.Million).Draw(t, "rate")
		promotions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) catalog.Promotion {
			p := catalog.Promotion{
				ID:     rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "id"),
				Budget: money.Money{Currency: "EUR", Minor: 1},
			}
			if rapid.Bool().Draw(t, "percent") {
				p.PercentOffPPM = rapid.Int64Range(1, money.Million).Draw(t, "percent off")
			} else {
				p.AmountOffMinor = rapid.Int64Range(1, catalog.MaxAmountMinor).Draw(t, "amount off")
			}
			if rapid.Bool().Draw(t, "listed") {
				p.SKUs = []string{"sku"}
			}
			return p
		}), 0, 5).Draw(t, "promotions")
		item := catalog.Item{SKU: "sku", UnitPrice: money.Money{Currency: "EUR", Minor: price}}
		rule := catalog.TaxRule{Jurisdiction: "DE", RatePPM: rate}
		request := pricingtest.Request{Currency: "EUR", Jurisdiction: "DE", Lines: []pricingtest.Line{{SKU: "sku", Quantity: quantity}}}
		c := pricingtest.NewCatalog([]catalog.Item{item}, []catalog.TaxRule{rule}, promotions)
		quote, err := c.Price(request, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		line := quote.Lines[0]
		switch {
		case line.Discount < 0 || line.Discount > price*quantity:
			t.Fatalf("discount %d of %d", line.Discount, price*quantity)
		case line.Net+line.Discount != price*quantity || line.Gross != line.Net+line.Tax || line.Tax > line.Net:
			t.Fatalf("amounts do not add up: %+v", line)
		case (line.PromotionID == "") != (line.Discount == 0):
			t.Fatalf("promotion %q gives %d", line.PromotionID, line.Discount)
		}
		for _, p := range promotions {
			alone := pricingtest.NewCatalog([]catalog.Item{item}, []catalog.TaxRule{rule}, []catalog.Promotion{p})
			other, err := alone.Price(request, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if d := other.Lines[0].Discount; d > line.Discount || (d == line.Discount && d > 0 && p.ID < line.PromotionID) {
				t.Fatalf("%s gives %d, but %q with %d was taken", p.ID, d, line.PromotionID, line.Discount)
			}
		}
	})
}
