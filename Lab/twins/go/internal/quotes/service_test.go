package quotes

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	moneyv1 "hybrid/control-plane/gen/hybrid/money/v1"
	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	"hybrid/twins/internal/pricing"
)

type fixed struct{ catalog *pricing.Catalog }

func (f fixed) Catalog() *pricing.Catalog { return f.catalog }

type published struct {
	quotes []*pricingv1.QuoteResponse
	traces []trace
}

func (p *published) Publish(quote *pricingv1.QuoteResponse, t trace) error {
	p.quotes, p.traces = append(p.quotes, quote), append(p.traces, t)
	return nil
}

func service(t *testing.T, events Publisher) *Service {
	t.Helper()
	edit := (&pricing.Catalog{}).Edit()
	err := errors.Join(
		edit.PutItem(&catalogv1.Item{Sku: "a", UnitPrice: &moneyv1.Money{CurrencyCode: "EUR", MinorUnits: 100}}),
		edit.PutTaxRule(&catalogv1.TaxRule{Jurisdiction: "DE", RatePpm: 190_000}))
	if err != nil {
		t.Fatal(err)
	}
	return NewService(fixed{edit.Finish(5)}, events, slog.New(slog.DiscardHandler))
}

func request(sku string) *pricingv1.QuoteRequest {
	return &pricingv1.QuoteRequest{CurrencyCode: "EUR", Jurisdiction: "DE", Lines: []*pricingv1.QuoteLine{{Sku: sku, Quantity: 2}}}
}

func TestAQuoteIsAnsweredAndReportedInItsTrace(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	events := &published{}
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("traceparent", parent, "tracestate", "a=1"))
	quote, err := service(t, events).Quote(ctx, request("a"))
	if err != nil {
		t.Fatal(err)
	}
	if quote.GetGrossMinor() != 238 || quote.GetSnapshotVersion() != 5 || len(quote.GetQuoteId()) != 36 {
		t.Errorf("got %v", quote)
	}
	if len(events.quotes) != 1 || events.quotes[0] != quote || events.traces[0] != (trace{parent, "a=1"}) {
		t.Errorf("reported %v in %v", events.quotes, events.traces)
	}
}

func TestARefusalCarriesItsDetails(t *testing.T) {
	events := &published{}
	_, err := service(t, events).Quote(context.Background(), request("b"))
	s := status.Convert(err)
	if s.Code() != codes.NotFound || len(s.Details()) != 2 {
		t.Fatalf("got %v", err)
	}
	info, ok := s.Details()[0].(*errdetails.ErrorInfo)
	bad, isBad := s.Details()[1].(*errdetails.BadRequest)
	if !ok || !isBad || info.GetReason() != "SKU_UNKNOWN" || info.GetDomain() != domain || bad.GetFieldViolations()[0].GetField() != "lines[0].sku" {
		t.Errorf("got %v", s.Details())
	}
	if len(events.quotes) != 0 {
		t.Error("a refusal was reported")
	}
}

func TestWithoutACatalogNothingIsPriced(t *testing.T) {
	_, err := NewService(fixed{}, &published{}, slog.New(slog.DiscardHandler)).Quote(context.Background(), request("a"))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestATraceThatCannotBeUsedIsReplaced(t *testing.T) {
	for _, parent := range []string{
		"", "00-short", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
	} {
		got := traceOf(metadata.Pairs("traceparent", parent, "tracestate", "a=1"))
		if got.parent == parent || !validParent(got.parent) || !strings.HasSuffix(got.parent, "-00") || got.state != "" {
			t.Errorf("%q became %v", parent, got)
		}
	}
}
