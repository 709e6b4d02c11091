package postgres_test

import (
	"slices"
	"testing"

	"hybrid/control-plane/internal/catalog"
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
