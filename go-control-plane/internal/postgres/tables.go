package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
)

// Items returns the repository of items, which reads and writes with these pools.
func Items(reads, writes *pgxpool.Pool, announce Announcer) catalog.Repository[catalog.Item] {
	return itemTable(reads, writes, announce)
}

// TaxRules returns the repository of tax rules; see Items.
func TaxRules(reads, writes *pgxpool.Pool, announce Announcer) catalog.Repository[catalog.TaxRule] {
	return taxRuleTable(reads, writes, announce)
}

// Promotions returns the repository of promotions; see Items.
func Promotions(reads, writes *pgxpool.Pool, announce Announcer) catalog.Repository[catalog.Promotion] {
	return promotionTable(reads, writes, announce)
}

func itemTable(reads, writes *pgxpool.Pool, announce Announcer) *table[catalog.Item] {
	return &table[catalog.Item]{
		reads: reads, pool: writes, announce: announce, kind: catalog.KindItem, name: "item", key: "sku",
		columns: []string{"sku", "name", "currency_code", "unit_price_minor", "tax_category", "version", "updated_at"},
		scan: func(row pgx.Row) (i catalog.Item, err error) {
			err = row.Scan(&i.SKU, &i.Name, &i.UnitPrice.Currency, &i.UnitPrice.Minor, &i.TaxCategory, &i.Version, &i.UpdatedAt)
			i.UpdatedAt = i.UpdatedAt.UTC()
			return i, err
		},
		values: func(i catalog.Item) []any {
			return []any{i.SKU, i.Name, i.UnitPrice.Currency, i.UnitPrice.Minor, i.TaxCategory, i.Version, i.UpdatedAt}
		},
		stamped: func(i catalog.Item, version int64, at time.Time) catalog.Item {
			i.Version, i.UpdatedAt = version, at
			return i
		},
	}
}

func taxRuleTable(reads, writes *pgxpool.Pool, announce Announcer) *table[catalog.TaxRule] {
	return &table[catalog.TaxRule]{
		reads: reads, pool: writes, announce: announce, kind: catalog.KindTaxRule, name: "tax_rule", key: "name",
		columns: []string{"jurisdiction", "category", "rate_ppm", "version", "updated_at"},
		scan: func(row pgx.Row) (r catalog.TaxRule, err error) {
			err = row.Scan(&r.Jurisdiction, &r.Category, &r.RatePPM, &r.Version, &r.UpdatedAt)
			r.UpdatedAt = r.UpdatedAt.UTC()
			return r, err
		},
		values: func(r catalog.TaxRule) []any {
			return []any{r.Jurisdiction, r.Category, r.RatePPM, r.Version, r.UpdatedAt}
		},
		stamped: func(r catalog.TaxRule, version int64, at time.Time) catalog.TaxRule {
			r.Version, r.UpdatedAt = version, at
			return r
		},
	}
}

func promotionTable(reads, writes *pgxpool.Pool, announce Announcer) *table[catalog.Promotion] {
	return &table[catalog.Promotion]{
		reads: reads, pool: writes, announce: announce, kind: catalog.KindPromotion, name: "promotion", key: "promotion_id", admit: admitPromotion,
		columns: []string{"promotion_id", "name", "percent_off_ppm", "amount_off_minor", "skus", "coupon", "min_quantity",
			"starts_at", "ends_at", "budget_currency", "budget_minor", "spent_minor", "exhausted", "created_version", "version", "updated_at"},
		scan: func(row pgx.Row) (p catalog.Promotion, err error) {
			var starts, ends *time.Time
			err = row.Scan(&p.ID, &p.Name, &p.PercentOffPPM, &p.AmountOffMinor, &p.SKUs, &p.Coupon, &p.MinQuantity,
				&starts, &ends, &p.Budget.Currency, &p.Budget.Minor, &p.SpentMinor, &p.Exhausted, &p.CreatedVersion, &p.Version, &p.UpdatedAt)
			p.StartsAt, p.EndsAt, p.UpdatedAt = instant(starts), instant(ends), p.UpdatedAt.UTC()
			// The mark follows the booking in a transaction of its own.
			p.Exhausted = p.Exhausted || p.SpentMinor >= p.Budget.Minor
			return p, err
		},
		values: func(p catalog.Promotion) []any {
			skus := p.SKUs
			if skus == nil {
				skus = []string{}
			}
			return []any{p.ID, p.Name, p.PercentOffPPM, p.AmountOffMinor, skus, p.Coupon, p.MinQuantity,
				nullable(p.StartsAt), nullable(p.EndsAt), p.Budget.Currency, p.Budget.Minor, p.SpentMinor, p.Exhausted, p.CreatedVersion, p.Version, p.UpdatedAt}
		},
		stamped: func(p catalog.Promotion, version int64, at time.Time) catalog.Promotion {
			p.Exhausted = p.SpentMinor >= p.Budget.Minor
			p.Version, p.UpdatedAt = version, at
			if p.CreatedVersion == 0 {
				p.CreatedVersion = version
			}
			return p
		},
	}
}

func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
