//go:build unix

package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/postgres"
)

// What a quote compares for one line is bounded: by how many promotions list its sku, and how many are for all skus.
func TestPromotionsOfASkuAreLimited(t *testing.T) {
	for name, c := range map[string]struct{ skus, others []string }{
		"for all skus":  {nil, []string{"mug"}},
		"of one sku":    {[]string{"mug", "cup"}, nil},
		"of some other": {[]string{"cup", "mug"}, []string{"pen"}},
	} {
		t.Run(name, func(t *testing.T) {
			pool, ctx := open(t), t.Context()
			promotions := postgres.Promotions(pool, pool, announce)
			promotion := func(id string, skus []string) catalog.Promotion {
				p := half(1000)
				p.ID, p.SKUs = id, skus
				return p
			}
			all := make([]catalog.Promotion, catalog.MaxPromotionsOfSKU)
			for i := range all {
				all[i] = promotion(fmt.Sprint("p", i), c.skus)
			}
			if _, err := promotions.CreateAll(ctx, append(all, promotion("one-more", c.skus)), ""); !errors.Is(err, catalog.ErrTooManyPromotions) {
				t.Fatalf("one more than the limit at once: %v", err)
			}
			all, err := promotions.CreateAll(ctx, all, "")
			if err != nil {
				t.Fatalf("as many as the limit: %v", err)
			}
			if _, err := promotions.Create(ctx, promotion("one-more", c.skus), ""); !errors.Is(err, catalog.ErrTooManyPromotions) {
				t.Errorf("one more: %v", err)
			}
			other, err := promotions.Create(ctx, promotion("other", c.others), "")
			if err != nil {
				t.Fatalf("one for others: %v", err)
			}
			joining := other
			joining.SKUs = c.skus
			if _, err := promotions.Update(ctx, joining); !errors.Is(err, catalog.ErrTooManyPromotions) {
				t.Errorf("one that becomes one more: %v", err)
			}
			changed := all[0]
			changed.Name = "Half, but named"
			if changed, err = promotions.Update(ctx, changed); err != nil {
				t.Errorf("one of them changes: %v", err)
			}
			if err := promotions.Delete(ctx, changed.ID, changed.Version); err != nil {
				t.Fatal(err)
			}
			if _, err := promotions.Update(ctx, joining); err != nil {
				t.Errorf("in the place of one that was deleted: %v", err)
			}
			// A store may hold more from before the limit: they can be changed, and another one not be added.
			if _, err := pool.Exec(ctx, `INSERT INTO promotion SELECT 'old', name, percent_off_ppm, amount_off_minor, skus, coupon, min_quantity, starts_at,
				ends_at, budget_currency, budget_minor, spent_minor, exhausted, version, updated_at FROM promotion WHERE promotion_id = 'p1'`); err != nil {
				t.Fatal(err)
			}
			changed = all[1]
			changed.Name = "Half, but named"
			if _, err := promotions.Update(ctx, changed); err != nil {
				t.Errorf("one of too many changes: %v", err)
			}
		})
	}
}
