package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
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
}

var _ catalog.Repository[catalog.Item] = (*table[catalog.Item])(nil)

// errRepeated rolls back a write that was done before.
var errRepeated = errors.New("the write was done before")

func (t *table[R]) Create(ctx context.Context, r R, requestID string) (R, error) {
	hash, err := contentHash(t.stamped(r, 0, time.Time{}))
	if err != nil {
		return r, err
	}
	created := r
	err = inTx(ctx, t.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		version, at, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		if requestID != "" {
			first, found, err := t.firstResult(ctx, tx, requestID, hash, r.Key())
			if err != nil {
				return err
			}
			if found {
				created = first
				return errRepeated
			}
		}
		created = t.stamped(r, version, at)
		tag, err := tx.Exec(ctx, t.insertSQL(), t.values(created)...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return &catalog.KeyError{Key: r.Key(), Err: catalog.ErrAlreadyExists}
		}
		if requestID != "" {
			if err := remember(ctx, tx, requestID, hash, created); err != nil {
				return err
			}
		}
		return record(ctx, tx, t.announce, write{key: r.Key(), resource: created, version: version, at: at})
	})
	if errors.Is(err, errRepeated) {
		err = nil
	}
	return created, err
}

func (t *table[R]) Get(ctx context.Context, name string) (R, error) {
	r, err := t.find(ctx, t.reads, name, "")
	return r, translate(err)
}

func (t *table[R]) List(ctx context.Context, after string, limit int) ([]R, error) {
	rows, err := t.reads.Query(ctx, t.selectSQL()+` WHERE `+t.key+` > $1 ORDER BY `+t.key+` LIMIT $2`, after, limit)
	if err != nil {
		return nil, translate(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (R, error) { return t.scan(row) })
	return list, translate(err)
}

func (t *table[R]) Update(ctx context.Context, r R) (R, error) {
	updated := r
	err := inTx(ctx, t.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		version, at, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		current, err := t.find(ctx, tx, r.Key().Name, "FOR UPDATE")
		if err != nil {
			return err
		}
		merged, err := r.Replacing(current)
		if err != nil {
			return err
		}
		if current.ResourceVersion() != r.ResourceVersion() {
			if done, err := t.isUpdate(ctx, tx, r.ResourceVersion(), merged, current); err != nil || done {
				updated = current
				return cmp.Or(err, errRepeated)
			}
			return &catalog.KeyError{Key: r.Key(), Err: catalog.ErrVersionMismatch}
		}
		updated = t.stamped(merged, version, at)
		if _, err := tx.Exec(ctx, t.updateSQL(), append(t.values(updated), r.Key().Name)...); err != nil {
			return err
		}
		return record(ctx, tx, t.announce, write{r.Key(), updated, current.ResourceVersion(), version, at})
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
	return inTx(ctx, t.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		next, at, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		current, err := t.find(ctx, tx, name, "FOR UPDATE")
		if err != nil {
			return err
		}
		if current.ResourceVersion() != version {
			return &catalog.KeyError{Key: current.Key(), Err: catalog.ErrVersionMismatch}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM `+t.name+` WHERE `+t.key+` = $1`, name); err != nil {
			return err
		}
		return record(ctx, tx, t.announce, write{current.Key(), nil, version, next, at})
	})
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
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

// firstResult returns the result of an earlier create with the same request id.
func (t *table[R]) firstResult(ctx context.Context, tx pgx.Tx, requestID string, hash []byte, key catalog.Key) (first R, found bool, err error) {
	var seen, result []byte
	err = tx.QueryRow(ctx, `SELECT content_hash, result FROM idempotency_key
		WHERE request_id = $1 AND created_at > now() - interval '24 hours'`, requestID).Scan(&seen, &result)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return first, false, nil
	case err != nil:
		return first, false, err
	case !bytes.Equal(seen, hash):
		return first, false, &catalog.KeyError{Key: key, Err: catalog.ErrRequestIDReused}
	}
	return first, true, json.Unmarshal(result, &first)
}

func remember(ctx context.Context, tx pgx.Tx, requestID string, hash []byte, result any) error {
	encoded, err := json.Marshal(result)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO idempotency_key (request_id, content_hash, result) VALUES ($1, $2, $3)
		ON CONFLICT (request_id) DO UPDATE SET content_hash = excluded.content_hash, result = excluded.result, created_at = now()`,
		requestID, hash, encoded)
	return err
}

// contentHash returns a hash of the kind and the content of r.
func contentHash(r catalog.AnyResource) ([]byte, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(r.Key().Kind+"\n"), content...))
	return sum[:], nil
}

// write is a change of one resource, which is nil if it was deleted. Previous is 0 if it did not exist.
type write struct {
	key      catalog.Key
	resource catalog.AnyResource
	previous int64
	version  int64
	at       time.Time
}

// record adds a write to the change log and the outbox, and sends a notification that is delivered on commit.
func record(ctx context.Context, tx pgx.Tx, announce Announcer, w write) error {
	message, err := announce(ctx, w.key, w.resource, w.version, w.at)
	if err != nil {
		return err
	}
	headers, err := json.Marshal(message.Headers)
	if err != nil {
		return err
	}
	var batch pgx.Batch
	batch.Queue(`INSERT INTO catalog_change (version, kind, name, previous_version, deleted, committed_at)
		VALUES ($1, $2, $3, nullif($4, 0::bigint), $5, $6)`, w.version, w.key.Kind, w.key.Name, w.previous, w.resource == nil, w.at)
	batch.Queue(`INSERT INTO outbox (topic, key, value, headers) VALUES ($1, $2, $3, $4)`,
		message.Topic, message.Key, message.Value, headers)
	batch.Queue(`SELECT pg_notify($1, $2)`, ChangedChannel, fmt.Sprint(w.version))
	return tx.SendBatch(ctx, &batch).Close()
}
