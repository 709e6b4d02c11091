package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"hybrid/control-plane/internal/catalog"
)

func (t *table[R]) Create(ctx context.Context, r R, requestID string) (R, error) {
	hash, err := contentHash(t.stamped(r, 0, time.Time{}))
	if err != nil {
		return r, err
	}
	created := []R{r}
	repeatable := repeatable{requestID, hash, &created[0]}
	err = t.create(ctx, created, repeatable)
	return created[0], err
}

func (t *table[R]) CreateAll(ctx context.Context, all []R, requestID string) ([]R, error) {
	sum := sha256.New()
	for _, r := range all {
		hash, err := contentHash(t.stamped(r, 0, time.Time{}))
		if err != nil {
			return nil, err
		}
		sum.Write(hash)
	}
	created := append([]R(nil), all...)
	err := t.create(ctx, created, repeatable{requestID, sum.Sum(nil), &created})
	return created, err
}

// repeatable is what makes a create repeatable: the caller's id, which is empty if it is not; the hash of its content; and a pointer
// to its result.
type repeatable struct {
	requestID string
	hash      []byte
	result    any
}

// create adds all of the resources at one version, or none, and stamps them. If the request was done before, it sets the result of
// repeat to that of the first time.
func (t *table[R]) create(ctx context.Context, all []R, repeat repeatable) error {
	err := inTx(ctx, t.pool, shortWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		version, at, err := nextVersion(ctx, tx)
		if err != nil {
			return err
		}
		if repeat.requestID != "" {
			if err := repeat.find(ctx, tx, all[0].Key()); err != nil {
				return err
			}
		}
		for i := range all {
			all[i] = t.stamped(all[i], version, at)
		}
		if err := t.insert(ctx, tx, all); err != nil {
			return err
		}
		var batch pgx.Batch
		if err := repeat.remember(&batch); err != nil {
			return err
		}
		for _, r := range all {
			if err := queue(ctx, &batch, t.announce, write{key: r.Key(), resource: r, version: version, at: at}); err != nil {
				return err
			}
		}
		notify(&batch, version)
		return tx.SendBatch(ctx, &batch).Close()
	})
	if errors.Is(err, errRepeated) {
		return nil
	}
	return err
}

// insert adds the rows, in one round trip.
func (t *table[R]) insert(ctx context.Context, tx pgx.Tx, all []R) error {
	if t.admit != nil {
		return t.insertAdmitted(ctx, tx, all)
	}
	if len(all) == 1 {
		tag, err := tx.Exec(ctx, t.insertSQL(), t.values(all[0])...)
		if err == nil && tag.RowsAffected() == 0 {
			err = &catalog.KeyError{Key: all[0].Key(), Err: catalog.ErrAlreadyExists}
		}
		return err
	}
	var batch pgx.Batch
	for _, r := range all {
		batch.Queue(t.insertSQL(), t.values(r)...)
	}
	results := tx.SendBatch(ctx, &batch)
	var failed error
	for _, r := range all {
		tag, err := results.Exec()
		if err != nil {
			failed = err
			break
		}
		if tag.RowsAffected() == 0 {
			failed = &catalog.KeyError{Key: r.Key(), Err: catalog.ErrAlreadyExists}
			break
		}
	}
	if err := results.Close(); failed == nil {
		failed = err
	}
	return failed
}

// insertAdmitted adds the rows one by one, because each counts for those after it.
func (t *table[R]) insertAdmitted(ctx context.Context, tx pgx.Tx, all []R) error {
	for _, r := range all {
		tag, err := tx.Exec(ctx, t.insertSQL(), t.values(r)...)
		if err == nil && tag.RowsAffected() == 0 {
			err = &catalog.KeyError{Key: r.Key(), Err: catalog.ErrAlreadyExists}
		}
		if err == nil {
			err = t.admit(ctx, tx, nil, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// find sets the result to that of the first time, and then fails with errRepeated.
func (r repeatable) find(ctx context.Context, tx pgx.Tx, key catalog.Key) error {
	var hash, result []byte
	err := tx.QueryRow(ctx, `SELECT content_hash, result FROM idempotency_key
		WHERE request_id = $1 AND created_at > now() - interval '24 hours'`, r.requestID).Scan(&hash, &result)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(hash, r.hash):
		return &catalog.KeyError{Key: key, Err: catalog.ErrRequestIDReused}
	}
	if err := json.Unmarshal(result, r.result); err != nil {
		return err
	}
	return errRepeated
}

// remember adds the statement that stores the result, if the request has an id.
func (r repeatable) remember(batch *pgx.Batch) error {
	if r.requestID == "" {
		return nil
	}
	encoded, err := json.Marshal(r.result)
	if err != nil {
		return err
	}
	batch.Queue(`INSERT INTO idempotency_key (request_id, content_hash, result) VALUES ($1, $2, $3)
		ON CONFLICT (request_id) DO UPDATE SET content_hash = excluded.content_hash, result = excluded.result, created_at = now()`,
		r.requestID, r.hash, encoded)
	return nil
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
