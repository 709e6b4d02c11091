package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"hybrid/control-plane/internal/catalog"
)

// admitPromotion refuses a promotion that would be one too many for a sku, or for all skus. Only what is new about it counts: one that
// is already among too many, because it is older than the limit, can still be changed. It runs under the lock of catalog writes.
func admitPromotion(ctx context.Context, tx pgx.Tx, previous *catalog.Promotion, p catalog.Promotion) error {
	tooMany := func(of string) error {
		return &catalog.KeyError{Key: p.Key(), Err: fmt.Errorf("%w: %d promotions %s", catalog.ErrTooManyPromotions, catalog.MaxPromotionsOfSKU, of)}
	}
	if len(p.SKUs) == 0 {
		if previous != nil && len(previous.SKUs) == 0 {
			return nil
		}
		var others int
		err := tx.QueryRow(ctx, `SELECT count(*) FROM promotion WHERE skus = '{}' AND promotion_id <> $1`, p.ID).Scan(&others)
		if err == nil && others >= catalog.MaxPromotionsOfSKU {
			return tooMany("have no skus")
		}
		return err
	}
	listed := p.SKUs
	if previous != nil {
		listed = slices.DeleteFunc(slices.Clone(listed), func(sku string) bool { return slices.Contains(previous.SKUs, sku) })
	}
	var full string
	err := tx.QueryRow(ctx, `SELECT sku FROM promotion, unnest(skus) AS sku JOIN unnest($2::text[]) AS listed (sku) USING (sku)
		WHERE skus && $2 AND promotion_id <> $1 GROUP BY sku HAVING count(DISTINCT promotion_id) >= $3 ORDER BY sku LIMIT 1`,
		p.ID, listed, catalog.MaxPromotionsOfSKU).Scan(&full)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return tooMany(fmt.Sprintf("list the sku %q", full))
}
