package pricing_test

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
	moneyv1 "hybrid/control-plane/gen/hybrid/money/v1"
	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	"hybrid/twins/internal/pricing"
)

const million = 1_000_000

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
	files, err := filepath.Glob("../../../../../protos/testdata/pricing/*.json")
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
	edit := (&pricing.Catalog{}).Edit()
	put(t, v.Catalog.Items, edit.PutItem, &catalogv1.Item{})
	put(t, v.Catalog.TaxRules, edit.PutTaxRule, &catalogv1.TaxRule{})
	put(t, v.Catalog.Promotions, edit.PutPromotion, &catalogv1.Promotion{})
	var request pricingv1.QuoteRequest
	if err := protojson.Unmarshal(v.Request, &request); err != nil {
		t.Fatal(err)
	}
	quote, err := edit.Finish(0).Price(&request, v.Now)
	if v.Error != nil {
		var failure *pricing.Error
		if !errors.As(err, &failure) || failure.Reason != v.Error.Reason || failure.Field != v.Error.Field {
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
	if !quote.GetPricedAt().AsTime().Equal(v.Now) {
		t.Errorf("priced at %v, not %v", quote.GetPricedAt().AsTime(), v.Now)
	}
	quote.PricedAt = nil
	if !proto.Equal(quote, &want) {
		t.Errorf("got  %v\nwant %v", quote, &want)
	}
}

func put[M proto.Message](t *testing.T, raw []json.RawMessage, put func(M) error, empty M) {
	t.Helper()
	for _, r := range raw {
		m := proto.Clone(empty).(M)
		if err := protojson.Unmarshal(r, m); err != nil {
			t.Fatal(err)
		}
		if err := put(m); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever the basket, the amounts add up, and no other promotion would have been better.
func TestQuotesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.Int64Range(0, million*million).Draw(t, "price")
		quantity := rapid.Int64Range(1, million).Draw(t, "quantity")
		rate := rapid.Int64Range(0, million).Draw(t, "rate")
		promotions := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) *catalogv1.Promotion {
			p := &catalogv1.Promotion{
				PromotionId: rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "id"),
				Budget:      &moneyv1.Money{CurrencyCode: "EUR", MinorUnits: 1},
			}
			if rapid.Bool().Draw(t, "percent") {
				p.Discount = &catalogv1.Promotion_PercentOffPpm{PercentOffPpm: rapid.Int64Range(1, million).Draw(t, "percent off")}
			} else {
				p.Discount = &catalogv1.Promotion_AmountOffMinor{AmountOffMinor: rapid.Int64Range(1, million*million).Draw(t, "amount off")}
			}
			if rapid.Bool().Draw(t, "listed") {
				p.Skus = []string{"sku"}
			}
			return p
		}), 0, 5, (*catalogv1.Promotion).GetPromotionId).Draw(t, "promotions")
		with := func(promotions ...*catalogv1.Promotion) *pricing.Catalog {
			edit := (&pricing.Catalog{}).Edit()
			err := errors.Join(
				edit.PutItem(&catalogv1.Item{Sku: "sku", UnitPrice: &moneyv1.Money{CurrencyCode: "EUR", MinorUnits: price}}),
				edit.PutTaxRule(&catalogv1.TaxRule{Jurisdiction: "DE", RatePpm: rate}))
			for _, p := range promotions {
				err = errors.Join(err, edit.PutPromotion(p))
			}
			if err != nil {
				t.Fatal(err)
			}
			return edit.Finish(1)
		}
		request := &pricingv1.QuoteRequest{
			CurrencyCode: "EUR", Jurisdiction: "DE", Lines: []*pricingv1.QuoteLine{{Sku: "sku", Quantity: quantity}},
		}
		quote, err := with(promotions...).Price(request, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		line := quote.GetLines()[0]
		discount, net := line.GetDiscountMinor(), line.GetNetMinor()
		switch {
		case discount < 0 || discount > price*quantity:
			t.Fatalf("discount %d of %d", discount, price*quantity)
		case net+discount != price*quantity || line.GetGrossMinor() != net+line.GetTaxMinor() || line.GetTaxMinor() > net:
			t.Fatalf("amounts do not add up: %+v", line)
		case (line.GetPromotionId() == "") != (discount == 0):
			t.Fatalf("promotion %q gives %d", line.GetPromotionId(), discount)
		}
		for _, p := range promotions {
			other, err := with(p).Price(request, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			d := other.GetLines()[0].GetDiscountMinor()
			if d > discount || (d == discount && d > 0 && p.GetPromotionId() < line.GetPromotionId()) {
				t.Fatalf("%s gives %d, but %q with %d was taken", p.GetPromotionId(), d, line.GetPromotionId(), discount)
			}
		}
	})
}
