package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/ledger"
)

// addTotals adds records to the totals.
func addTotals(ctx context.Context, tx pgx.Tx, records []ledger.Record) error {
	totals := map[ledger.Place]*ledger.Sums{}
	for _, r := range records {
		at := ledger.Place{Currency: r.Window.Currency, Jurisdiction: r.Window.Jurisdiction}
		if totals[at] == nil {
			totals[at] = &ledger.Sums{}
		}
		totals[at].Add(r.Window)
	}
	// In one order, so that two bookings cannot deadlock.
	places := slices.SortedFunc(maps.Keys(totals), func(a, b ledger.Place) int {
		return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Jurisdiction, b.Jurisdiction))
	})
	var batch pgx.Batch
	for _, at := range places {
		t := totals[at]
		batch.Queue(`INSERT INTO ledger_total AS t (currency_code, jurisdiction, quotes, discount_minor, net_minor, tax_minor, gross_minor)
			VALUES ($1, $2, $3::text::numeric, $4::text::numeric, $5::text::numeric, $6::text::numeric, $7::text::numeric)
			ON CONFLICT (currency_code, jurisdiction) DO UPDATE SET quotes = t.quotes + excluded.quotes,
				discount_minor = t.discount_minor + excluded.discount_minor, net_minor = t.net_minor + excluded.net_minor,
				tax_minor = t.tax_minor + excluded.tax_minor, gross_minor = t.gross_minor + excluded.gross_minor`,
			at.Currency, at.Jurisdiction, t.Quotes.String(), t.Discount.String(), t.Net.String(), t.Tax.String(), t.Gross.String())
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// totalBytes is what a total is counted for besides its content. With it an answer of catalog.MaxPageBytes has at most twice that,
// also where all sums are told in digits too.
const totalBytes = 24

// Totals implements ledger.Reader.
func (l *Ledger) Totals(ctx context.Context, after ledger.Place, limit int) (page []ledger.Total, more bool, err error) {
	if limit == 0 {
		// What is not read has to be received all the same.
		limit = catalog.MaxPageBytes / totalBytes
	}
	err = use(ctx, l.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		page, more, err = totals(ctx, c, after, limit)
		return err
	})
	return page, more, err
}

func totals(ctx context.Context, q queries, after ledger.Place, limit int) (page []ledger.Total, more bool, err error) {
	// One row more than the limit shows whether there are more.
	rows, err := q.Query(ctx, `SELECT currency_code, jurisdiction, quotes::text, discount_minor::text, net_minor::text,
		tax_minor::text, gross_minor::text FROM ledger_total WHERE (currency_code, jurisdiction) > ($1, $2) ORDER BY 1, 2 LIMIT $3`,
		after.Currency, after.Jurisdiction, limit+1)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	size := 0
	for rows.Next() {
		size += totalBytes
		for _, value := range rows.RawValues() {
			size += len(value)
		}
		if len(page) == limit || (len(page) > 0 && size > catalog.MaxPageBytes) {
			more = true
			break
		}
		total, err := scanTotal(rows)
		if err != nil {
			return nil, false, err
		}
		page = append(page, total)
	}
	rows.Close()
	return page, more, rows.Err()
}

func scanTotal(row pgx.Row) (t ledger.Total, err error) {
	var texts [5]string
	if err := row.Scan(&t.Currency, &t.Jurisdiction, &texts[0], &texts[1], &texts[2], &texts[3], &texts[4]); err != nil {
		return t, err
	}
	for i, sum := range []*big.Int{&t.Quotes, &t.Discount, &t.Net, &t.Tax, &t.Gross} {
		if _, ok := sum.SetString(texts[i], 10); !ok {
			return t, fmt.Errorf("the total %q of %s/%s is not a whole number", texts[i], t.Currency, t.Jurisdiction)
		}
	}
	return t, nil
}
