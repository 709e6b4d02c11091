package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/outbox"
)

// ChangedChannel is the channel that is notified of every committed catalog write.
const ChangedChannel = "catalog_changed"

// Announcer returns the message that announces a write. The resource is nil if key was deleted.
type Announcer func(ctx context.Context, key catalog.Key, resource catalog.AnyResource, version int64, at time.Time) (outbox.Message, error)

// resource is the constraint of a table.
type resource[R any] interface {
	catalog.Resource
	Replacing(current R) (R, error)
}

// table is the repository of one kind of resource.
type table[R resource[R]] struct {
	// pool is for writes.
	reads, pool *pgxpool.Pool
	announce    Announcer
	kind        catalog.Kind
	name        string
	key         string
	columns     []string
	scan        func(pgx.Row) (R, error)
	values      func(R) []any
	stamped     func(R, int64, time.Time) R
	// admit refuses a write for what else is in the table. Previous is nil if there is none. It is nil if nothing is refused.
	admit func(ctx context.Context, tx pgx.Tx, previous *R, r R) error
}

var _ catalog.Repository[catalog.Item] = (*table[catalog.Item])(nil)

// errRepeated rolls back a write that was done before.
var errRepeated = errors.New("the write was done before")

func (t *table[R]) Get(ctx context.Context, name string) (R, error) {
	var r R
	err := use(ctx, t.reads, shortWork, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		r, err = t.find(ctx, c, name, "")
		return err
	})
	return r, err
}

func (t *table[R]) List(ctx context.Context, after string, limit int) (page []R, more bool, err error) {
	err = use(ctx, t.reads, shortWork, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		page, more, err = t.list(ctx, c, after, limit)
		return err
	})
	return page, more, err
}

func (t *table[R]) list(ctx context.Context, q queries, after string, limit int) (page []R, more bool, err error) {
	// One row more than the limit shows whether there are more.
	rows, err := q.Query(ctx, t.selectSQL()+` WHERE `+t.key+` > $1 ORDER BY `+t.key+` LIMIT $2`, after, limit+1)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	size := 0
	for rows.Next() {
		for _, value := range rows.RawValues() {
			size += len(value)
		}
		if len(page) == limit || (len(page) > 0 && size > catalog.MaxPageBytes) {
			more = true
			break
		}
		r, err := t.scan(rows)
		if err != nil {
			return nil, false, err
		}
		page = append(page, r)
	}
	rows.Close()
	return page, more, rows.Err()
}

func (t *table[R]) Update(ctx context.Context, r R) (R, error) {
	updated := r
	err := inTx(ctx, t.pool, shortWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		version, at, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		current, err := t.find(ctx, tx, r.Key().Name, "FOR UPDATE")
		if err != nil {
			return err
		}
		merged, invalid := r.Replacing(current)
		if current.ResourceVersion() != r.ResourceVersion() {
			if done, err := t.isUpdate(ctx, tx, r.ResourceVersion(), merged, current); err != nil || done {
				updated = current
				return cmp.Or(err, errRepeated)
			}
			return &catalog.KeyError{Key: r.Key(), Err: catalog.ErrVersionMismatch}
		}
		if invalid != nil {
			return invalid
		}
		if t.admit != nil {
			if err := t.admit(ctx, tx, &current, merged); err != nil {
				return err
			}
		}
		updated = t.stamped(merged, version, at)
		var batch pgx.Batch
		batch.Queue(t.updateSQL(), append(t.values(updated), r.Key().Name)...)
		return record(ctx, tx, &batch, t.announce, write{r.Key(), updated, current.ResourceVersion(), version, at})
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return updated, err
}

// isUpdate reports whether current is what the update of version base to merged leads to: the caller may have lost the answer,
// and repeats it.
func (t *table[R]) isUpdate(ctx context.Context, q querier, base int64, merged, current R) (bool, error) {
	same := func(r R) []any { return t.values(t.stamped(r, current.ResourceVersion(), time.Time{})) }
	if !reflect.DeepEqual(same(merged), same(current)) {
		return false, nil
	}
	var previous int64
	err := q.QueryRow(ctx, `SELECT coalesce(previous_version, 0) FROM catalog_change WHERE version = $1 AND kind = $2 AND name = $3`,
		current.ResourceVersion(), t.kind, current.Key().Name).Scan(&previous)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return previous == base, err
}

func (t *table[R]) Delete(ctx context.Context, name string, version int64) error {
	err := inTx(ctx, t.pool, shortWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		next, at, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		current, err := t.find(ctx, tx, name, "FOR UPDATE")
		if errors.Is(err, catalog.ErrNotFound) {
			if done, failed := t.isDeleted(ctx, tx, name, version); failed != nil || done {
				return cmp.Or(failed, errRepeated)
			}
		}
		if err != nil {
			return err
		}
		if current.ResourceVersion() != version {
			return &catalog.KeyError{Key: current.Key(), Err: catalog.ErrVersionMismatch}
		}
		var batch pgx.Batch
		batch.Queue(`DELETE FROM `+t.name+` WHERE `+t.key+` = $1`, name)
		return record(ctx, tx, &batch, t.announce, write{current.Key(), nil, version, next, at})
	})
	if errors.Is(err, errRepeated) {
		return nil
	}
	return err
}

// isDeleted reports whether a resource that is not there was deleted at this version: the caller may have lost the answer, and
// repeats it.
func (t *table[R]) isDeleted(ctx context.Context, q querier, name string, version int64) (deleted bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM catalog_change WHERE kind = $1 AND name = $2 AND deleted AND previous_version = $3)`,
		t.kind, name, version).Scan(&deleted)
	return deleted, err
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

type queries interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (t *table[R]) find(ctx context.Context, q querier, name, lock string) (R, error) {
	r, err := t.scan(q.QueryRow(ctx, t.selectSQL()+` WHERE `+t.key+` = $1 `+lock, name))
	if errors.Is(err, pgx.ErrNoRows) {
		return r, &catalog.KeyError{Key: catalog.Key{Kind: t.kind, Name: name}, Err: catalog.ErrNotFound}
	}
	return r, err
}

func (t *table[R]) selectSQL() string {
	return `SELECT ` + strings.Join(t.columns, `, `) + ` FROM ` + t.name
}

func (t *table[R]) insertSQL() string {
	marks := make([]string, len(t.columns))
	for i := range marks {
		marks[i] = fmt.Sprintf("$%d", i+1)
	}
	return `INSERT INTO ` + t.name + ` (` + strings.Join(t.columns, `, `) + `) VALUES (` + strings.Join(marks, `, `) + `) ON CONFLICT DO NOTHING`
}

func (t *table[R]) updateSQL() string {
	sets := make([]string, len(t.columns))
	for i, column := range t.columns {
		sets[i] = fmt.Sprintf("%s = $%d", column, i+1)
	}
	return fmt.Sprintf(`UPDATE %s SET %s WHERE %s = $%d`, t.name, strings.Join(sets, `, `), t.key, len(t.columns)+1)
}

// write is a change of one resource, which is nil if it was deleted. Previous is 0 if it did not exist.
type write struct {
	key      catalog.Key
	resource catalog.AnyResource
	previous int64
	version  int64
	at       time.Time
}

// record makes a write, whose own statement is in the batch, and adds it to the change log and the outbox, and sends a notification
// that is delivered on commit. All of it is one round trip.
func record(ctx context.Context, tx pgx.Tx, batch *pgx.Batch, announce Announcer, w write) error {
	if err := queue(ctx, batch, announce, w); err != nil {
		return err
	}
	notify(batch, w.version)
	return tx.SendBatch(ctx, batch).Close()
}

// queue adds the statements for a write, except the notification.
func queue(ctx context.Context, batch *pgx.Batch, announce Announcer, w write) error {
	message, err := announce(ctx, w.key, w.resource, w.version, w.at)
	if err != nil {
		return err
	}
	batch.Queue(`INSERT INTO catalog_change (version, kind, name, previous_version, deleted, committed_at)
		VALUES ($1, $2, $3, nullif($4, 0::bigint), $5, $6)`, w.version, w.key.Kind, w.key.Name, w.previous, w.resource == nil, w.at)
	return enqueue(batch, message)
}

// enqueue adds the statement that puts a message into the outbox.
func enqueue(batch *pgx.Batch, message outbox.Message) error {
	headers, err := json.Marshal(message.Headers)
	if err != nil {
		return err
	}
	batch.Queue(`INSERT INTO outbox (topic, key, value, headers) VALUES ($1, $2, $3, $4)`,
		message.Topic, message.Key, message.Value, headers)
	return nil
}

func notify(batch *pgx.Batch, version int64) {
	batch.Queue(`SELECT pg_notify($1, $2)`, ChangedChannel, fmt.Sprint(version))
}
