package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
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
