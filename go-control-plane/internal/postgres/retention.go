package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Retention deletes what is no longer needed.
type Retention struct {
	pool *pgxpool.Pool
	// ledger is how long entries are kept; 0 is for ever.
	ledger time.Duration
}

// NewRetention returns a retention that keeps the entries of the ledger, and the records that they are from, for this long; 0 is
// for ever. Totals are kept in any case.
func NewRetention(pool *pgxpool.Pool, ledger time.Duration) *Retention {
	return &Retention{pool, ledger}
}

// Prune deletes request ids after a day, changes that are too old for a delta, and old entries of the ledger. Each is done on its
// own: that one fails does not keep the others.
func (r *Retention) Prune(ctx context.Context) error {
	type part struct {
		what, statement string
		args            []any
	}
	parts := []part{
		{"request ids", `DELETE FROM idempotency_key WHERE request_id IN (
			SELECT request_id FROM idempotency_key WHERE created_at < now() - interval '24 hours' LIMIT 10000)`, nil},
		{"the change log", `DELETE FROM catalog_change WHERE version < (SELECT version - 100000 FROM catalog_version)`, nil},
	}
	if r.ledger > 0 {
		parts = append(parts,
			part{"ledger entries", `DELETE FROM ledger_entry WHERE entry_id IN (
				SELECT entry_id FROM ledger_entry WHERE booked_at < now() - $1::interval ORDER BY booked_at LIMIT 10000)`, []any{r.ledger}},
			part{"usage records", `DELETE FROM usage_record WHERE (topic, kafka_partition, kafka_offset) IN (
				SELECT topic, kafka_partition, kafka_offset FROM usage_record u WHERE booked_at < now() - $1::interval AND NOT EXISTS (
					SELECT FROM ledger_entry e WHERE (e.topic, e.kafka_partition, e.kafka_offset) = (u.topic, u.kafka_partition, u.kafka_offset))
				ORDER BY booked_at LIMIT 10000)`, []any{r.ledger}})
	}
	var failed error
	for _, p := range parts {
		if err := deleteAll(ctx, r.pool, p.statement, p.args...); err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", p.what, err)
		}
	}
	return failed
}

// deleteAll repeats a statement that deletes a limited number of rows until there are none, so that no transaction is long.
func deleteAll(ctx context.Context, pool *pgxpool.Pool, statement string, args ...any) error {
	for {
		var deleted int64
		err := use(ctx, pool, longWork, func(ctx context.Context, c *pgxpool.Conn) error {
			tag, err := c.Exec(ctx, statement, args...)
			deleted = tag.RowsAffected()
			return err
		})
		if err != nil || deleted == 0 {
			return err
		}
	}
}
