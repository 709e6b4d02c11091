package postgres_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/postgres"
)

// Pages are in the order of bytes, whatever the locale of the database is, so that a token means the same everywhere.
func TestPagesAreInTheOrderOfBytes(t *testing.T) {
	pool := open(t)
	items := catalog.NewCollection(postgres.Items(pool, pool, announce))
	skus := []string{"B", "_", "a", "C", "b", "0", "A.", "A-"}
	for _, sku := range skus {
		item := mug(1)
		item.SKU = sku
		if _, err := items.Create(t.Context(), item, ""); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(skus)
	var seen []string
	for token, more := "", true; more; more = token != "" {
		page, next, err := items.List(t.Context(), 3, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page {
			seen = append(seen, item.SKU)
		}
		token = next
	}
	if !slices.Equal(seen, skus) {
		t.Errorf("%v, want %v", seen, skus)
	}
}

// A promotion may have 64 kB, and a page of a thousand of them must not become an answer that its caller refuses to take.
func TestPagesAreLimitedInBytes(t *testing.T) {
	pool := open(t)
	repository := postgres.Promotions(pool, pool, announce)
	all := make([]catalog.Promotion, 60)
	for i := range all {
		all[i] = half(1000)
		all[i].ID = fmt.Sprintf("p%02d", i)
		for sku := range catalog.MaxPromotionSKUs {
			all[i].SKUs = append(all[i].SKUs, fmt.Sprintf("%s%04d", strings.Repeat("s", 60), sku))
		}
	}
	if _, err := repository.CreateAll(t.Context(), all, ""); err != nil {
		t.Fatal(err)
	}
	promotions := catalog.NewCollection(repository)
	seen, pages := 0, 0
	for token, more := "", true; more; more = token != "" {
		page, next, err := promotions.List(t.Context(), catalog.MaxPageSize, token)
		if err != nil || len(page) == 0 {
			t.Fatalf("page %d of %d promotions: %v", pages, len(page), err)
		}
		answer := &catalogv1.ListPromotionsResponse{NextPageToken: next}
		for _, p := range page {
			answer.Promotions = append(answer.Promotions, contract.Promotion(p))
		}
		if size := proto.Size(answer); size > 2<<20 {
			t.Errorf("page %d has %d bytes", pages, size)
		}
		seen, pages, token = seen+len(page), pages+1, next
	}
	if seen != len(all) || pages < 3 {
		t.Errorf("%d promotions on %d pages", seen, pages)
	}
}

// There can be a total for each currency and jurisdiction of a quote, far more than fit what a caller takes in one answer.
func TestPagesOfTotalsAreLimitedInBytes(t *testing.T) {
	for name, sum := range map[string]string{"small": "1", "beyond int64": strings.Repeat("9", 25)} {
		t.Run(name, func(t *testing.T) {
			pool := open(t)
			const jurisdictions = 30_000
			execute(t, pool, fmt.Sprintf(`INSERT INTO ledger_total SELECT c, 'J-' || j, %[1]s, %[1]s, %[1]s, %[1]s, %[1]s
				FROM unnest('{EUR,USD}'::text[]) c, generate_series(1, %[2]d) j`, sum, jurisdictions))
			server := grpcapi.Ledger{Reader: postgres.NewLedger(pool, announce), Log: slog.New(slog.DiscardHandler)}
			seen, pages, last := 0, 0, ""
			for request := (&usagev1.GetTotalsRequest{}); pages == 0 || request.PageToken != ""; pages++ {
				page, err := server.GetTotals(t.Context(), request)
				if err != nil || len(page.GetTotals()) == 0 {
					t.Fatalf("page %d of %d totals: %v", pages, len(page.GetTotals()), err)
				}
				if size := proto.Size(page); size > 2<<20 {
					t.Errorf("page %d has %d bytes", pages, size)
				}
				for _, total := range page.GetTotals() {
					if at := total.GetCurrencyCode() + "/" + total.GetJurisdiction(); at <= last {
						t.Fatalf("%s comes after %s", at, last)
					} else {
						last = at
					}
				}
				seen, request.PageToken = seen+len(page.GetTotals()), page.GetNextPageToken()
			}
			if seen != 2*jurisdictions || pages < 2 {
				t.Errorf("%d totals on %d pages", seen, pages)
			}
		})
	}
}

// Who knows nothing of pages gets what fits on one.
func TestTotalsOfCallersWithoutPages(t *testing.T) {
	pool := open(t)
	const jurisdictions = 10_000
	execute(t, pool, fmt.Sprintf(`INSERT INTO ledger_total SELECT 'EUR', 'J-' || j, 1, 2, 3, 4, 7 FROM generate_series(1, %d) j`, jurisdictions))
	server := grpcapi.Ledger{Reader: postgres.NewLedger(pool, announce), Log: slog.New(slog.DiscardHandler)}
	all, err := server.GetTotals(t.Context(), &usagev1.GetTotalsRequest{})
	if err != nil || len(all.GetTotals()) != jurisdictions || all.GetNextPageToken() != "" {
		t.Errorf("%d totals, next %q, %v", len(all.GetTotals()), all.GetNextPageToken(), err)
	}
	first, err := server.GetTotals(t.Context(), &usagev1.GetTotalsRequest{PageSize: 1_000})
	if err != nil || len(first.GetTotals()) != 1_000 || first.GetNextPageToken() == "" {
		t.Fatalf("%d totals, next %q, %v", len(first.GetTotals()), first.GetNextPageToken(), err)
	}
	second, err := server.GetTotals(t.Context(), &usagev1.GetTotalsRequest{PageSize: 1, PageToken: first.GetNextPageToken()})
	if err != nil || len(second.GetTotals()) != 1 || !proto.Equal(second.GetTotals()[0], all.GetTotals()[1_000]) {
		t.Errorf("after the first page: %v, %v", second, err)
	}
}
