package contract_test

import (
	"context"
	"math"
	"math/big"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	moneyv1 "hybrid/control-plane/gen/hybrid/money/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/ledger"
)

func TestResourcesComeBack(t *testing.T) {
	at := timestamppb.New(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	eur := &moneyv1.Money{CurrencyCode: "EUR", MinorUnits: 100}
	for _, m := range []*snapshotv1.Resource{
		{Resource: &snapshotv1.Resource_Item{Item: &catalogv1.Item{Sku: "a", Name: "A", UnitPrice: eur, TaxCategory: "books", Version: 3}}},
		{Resource: &snapshotv1.Resource_TaxRule{TaxRule: &catalogv1.TaxRule{Jurisdiction: "DE", Category: "books", RatePpm: 70_000, Version: 4}}},
		{Resource: &snapshotv1.Resource_Promotion{Promotion: &catalogv1.Promotion{PromotionId: "p", Name: "P",
			Discount: &catalogv1.Promotion_PercentOffPpm{PercentOffPpm: 1}, Skus: []string{"a"}, Coupon: "C", MinQuantity: 2,
			StartsAt: at, EndsAt: at, Budget: eur, Version: 5}}},
		{Resource: &snapshotv1.Resource_Promotion{Promotion: &catalogv1.Promotion{PromotionId: "q",
			Discount: &catalogv1.Promotion_AmountOffMinor{AmountOffMinor: 1}, Budget: eur}}},
	} {
		if back := contract.Resource(contract.ToResource(m)); !proto.Equal(back, m) {
			t.Errorf("%v came back as %v", m, back)
		}
	}
	for _, kind := range []catalog.Kind{catalog.KindItem, catalog.KindTaxRule, catalog.KindPromotion} {
		key := catalog.Key{Kind: kind, Name: "x"}
		if back, ok := contract.ToResourceKey(contract.ResourceKey(key)); !ok || back != key {
			t.Errorf("%v came back as %v, %v", key, back, ok)
		}
	}
	for _, m := range []*snapshotv1.ResourceKey{nil, {Name: "x"}, {Type: snapshotv1.ResourceType_RESOURCE_TYPE_ITEM}, {Type: 99, Name: "x"}} {
		if key, ok := contract.ToResourceKey(m); ok {
			t.Errorf("%v became %v", m, key)
		}
	}
}

func TestInvalidTimesAreRefusedLater(t *testing.T) {
	p := contract.ToPromotion(&catalogv1.Promotion{EndsAt: &timestamppb.Timestamp{Seconds: 1 << 62}})
	if p.EndsAt.IsZero() || p.EndsAt.Year() < 10_000 {
		t.Errorf("an invalid time became %v", p.EndsAt)
	}
}

func TestCatalogChangedIsACloudEvent(t *testing.T) {
	i := catalog.Item{SKU: "mug", Version: 7}
	at := time.Date(2026, 1, 1, 0, 0, 0, 5000, time.UTC)
	written, err := contract.CatalogChanged(context.Background(), i.Key(), i, 7, at)
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := contract.CatalogChanged(context.Background(), i.Key(), nil, 8, at)
	if err != nil {
		t.Fatal(err)
	}
	if string(written.Key) != "item/mug" || written.Topic != "hybrid.catalog.v1" || deleted.Value != nil {
		t.Errorf("%v, %v", written, deleted)
	}
	headers := map[string]string{}
	for _, h := range written.Headers {
		headers[h.Name] = h.Value
	}
	for name, value := range map[string]string{
		"ce_specversion": "1.0", "ce_type": "hybrid.catalog.changed.v1", "ce_time": "2026-01-01T00:00:00.000005Z", "content-type": "application/protobuf",
	} {
		if headers[name] != value {
			t.Errorf("%s is %q, want %q", name, headers[name], value)
		}
	}
	again, err := contract.CatalogChanged(context.Background(), i.Key(), i, 7, at)
	if err != nil || again.Headers[1] != written.Headers[1] || again.Headers[1] == deleted.Headers[1] {
		t.Errorf("ids: %v, %v, %v", written.Headers[1], again.Headers[1], deleted.Headers[1])
	}
	var m usagev1.CatalogChanged
	if err := proto.Unmarshal(written.Value, &m); err != nil || m.GetResource().GetItem().GetSku() != "mug" {
		t.Errorf("%v, %v", &m, err)
	}
}

func TestCatalogChangedCarriesTheTrace(t *testing.T) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	caller := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=2"}
	ctx := otel.GetTextMapPropagator().Extract(t.Context(), caller)
	m, err := contract.CatalogChanged(ctx, catalog.Item{SKU: "mug"}.Key(), nil, 7, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range m.Headers {
		got[h.Name] = h.Value
	}
	for name, want := range caller {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// A sum beyond int64 is told exactly, and marked in the others by being the largest int64.
func TestTotalsBeyondInt64(t *testing.T) {
	total := ledger.Total{Place: ledger.Place{Currency: "EUR", Jurisdiction: "DE"}}
	total.Gross.SetInt64(math.MaxInt64)
	total.Quotes.SetInt64(2)
	if m := contract.LedgerTotal(total); m.GetExact() != nil || m.GetGrossMinor() != math.MaxInt64 || m.GetQuotes() != 2 {
		t.Errorf("at the limit: %v", m)
	}
	total.Gross.Add(&total.Gross, big.NewInt(1))
	m := contract.LedgerTotal(total)
	if m.GetGrossMinor() != math.MaxInt64 || m.GetQuotes() != 2 || m.GetExact().GetGrossMinor() != "9223372036854775808" || m.GetExact().GetQuotes() != "2" {
		t.Errorf("above it: %v", m)
	}
}

func window() *usagev1.UsageWindow {
	return &usagev1.UsageWindow{
		WindowStart: &timestamppb.Timestamp{Seconds: 10}, WindowEnd: &timestamppb.Timestamp{Seconds: 20},
		CurrencyCode: "EUR", Jurisdiction: "DE", Quotes: 1,
		Lines: []*usagev1.UsageLine{{Sku: "mug", Lines: 1, Quantity: 1, NetMinor: 100, TaxMinor: 19, GrossMinor: 119}},
	}
}

func TestUsageThatCannotBeBooked(t *testing.T) {
	for name, spoil := range map[string]func(*usagev1.UsageWindow){
		"fine":                       nil,
		"no start":                   func(w *usagev1.UsageWindow) { w.WindowStart = nil },
		"ends before it starts":      func(w *usagev1.UsageWindow) { w.WindowEnd.Seconds = 5 },
		"out of time":                func(w *usagev1.UsageWindow) { w.WindowEnd.Seconds = 1 << 60 },
		"currency":                   func(w *usagev1.UsageWindow) { w.CurrencyCode = "eur" },
		"jurisdiction":               func(w *usagev1.UsageWindow) { w.Jurisdiction = "" },
		"negative quotes":            func(w *usagev1.UsageWindow) { w.Quotes = -1 },
		"sku":                        func(w *usagev1.UsageWindow) { w.Lines[0].Sku = "" },
		"promotion":                  func(w *usagev1.UsageWindow) { w.Lines[0].PromotionId = "a b" },
		"negative quantity":          func(w *usagev1.UsageWindow) { w.Lines[0].Quantity = -1 },
		"negative discount":          func(w *usagev1.UsageWindow) { w.Lines[0].DiscountMinor = -1 },
		"discount of nothing":        func(w *usagev1.UsageWindow) { w.Lines[0].DiscountMinor = 1 },
		"gross that does not add up": func(w *usagev1.UsageWindow) { w.Lines[0].GrossMinor++ },
	} {
		w := window()
		if spoil != nil {
			spoil(w)
		}
		value, err := proto.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := contract.ParseUsageWindow(value); (err == nil) != (spoil == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, value := range [][]byte{nil, {}, {0xff, 0xff}} {
		if _, err := contract.ParseUsageWindow(value); err == nil {
			t.Errorf("%x was read", value)
		}
	}
}
