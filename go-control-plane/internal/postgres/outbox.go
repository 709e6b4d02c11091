package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/outbox"
)

// Outbox is the queue of committed messages.
type Outbox struct {
	pool *pgxpool.Pool
	// newest is when the newest message of the last Pending was written. A store that goes back gives ids again, and a later
	// message is not the one that was published under its id.
	newest atomic.Pointer[time.Time]
}

// NewOutbox returns a queue that uses pool.
func NewOutbox(pool *pgxpool.Pool) *Outbox { return &Outbox{pool: pool} }

var _ outbox.Queue = (*Outbox)(nil)

// Pending returns the oldest unpublished messages in commit order.
func (o *Outbox) Pending(ctx context.Context, limit int) (pending []outbox.Pending, err error) {
	err = use(ctx, o.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		pending, err = o.pending(ctx, c, limit)
		return err
	})
	return pending, err
}

func (o *Outbox) pending(ctx context.Context, q queries, limit int) ([]outbox.Pending, error) {
	rows, err := q.Query(ctx, `SELECT outbox_id, topic, key, value, headers, created_at FROM outbox
		WHERE published_at IS NULL ORDER BY outbox_id LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	var newest time.Time
	pending, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p outbox.Pending, err error) {
		var headers []byte
		var created time.Time
		if err := row.Scan(&p.ID, &p.Topic, &p.Key, &p.Value, &headers, &created); err != nil {
			return p, err
		}
		if created.After(newest) {
			newest = created
		}
		return p, json.Unmarshal(headers, &p.Headers)
	})
	o.newest.Store(&newest)
	return pending, err
}

// Count returns the number of unpublished messages.
func (o *Outbox) Count(ctx context.Context) (n int64, err error) {
	err = use(ctx, o.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, `SELECT count(*) FROM outbox WHERE published_at IS NULL`).Scan(&n)
	})
	return n, err
}

// MarkPublished marks messages of the last Pending as published.
func (o *Outbox) MarkPublished(ctx context.Context, ids []int64) error {
	newest := o.newest.Load()
	if newest == nil {
		return errNothingRead
	}
	return use(ctx, o.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `UPDATE outbox SET published_at = clock_timestamp() WHERE outbox_id = ANY($1) AND created_at <= $2`, ids, *newest)
		return err
	})
}

var errNothingRead = errors.New("messages are to be marked that were not read")

// Prune deletes published messages after an hour.
func (o *Outbox) Prune(ctx context.Context) error {
	return deleteAll(ctx, o.pool, `DELETE FROM outbox WHERE outbox_id IN (
		SELECT outbox_id FROM outbox WHERE published_at < now() - interval '1 hour' ORDER BY published_at LIMIT 10000)`)
}
