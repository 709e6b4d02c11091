package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/snapshot"
)

// nextVersion takes the next catalog version, and begins an epoch if the store has come to another timeline. The row stays
// locked until the end of the transaction, so that versions are committed in order.
func nextVersion(ctx context.Context, tx pgx.Tx) (version int64, at time.Time, err error) {
	take := func() error {
		return tx.QueryRow(ctx, `UPDATE catalog_version SET version = version + 1, changed_at = clock_timestamp()
			WHERE timeline = catalog_timeline() RETURNING version, changed_at`).Scan(&version, &at)
	}
	if err = take(); errors.Is(err, pgx.ErrNoRows) {
		if err = beginEpoch(ctx, tx); err == nil {
			err = take()
		}
	}
	return version, at.UTC(), err
}

// beginEpoch takes a version for the state as it is, on the timeline as it is. The version is at least the time in
// microseconds: versions grow by one a write, so no timeline that was lost has come so far.
func beginEpoch(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `UPDATE catalog_version SET
		timeline      = catalog_timeline(),
		version       = greatest(version + 1, floor(extract(epoch FROM statement_timestamp()) * 1000000)::bigint),
		epoch_version = greatest(version + 1, floor(extract(epoch FROM statement_timestamp()) * 1000000)::bigint),
		changed_at    = statement_timestamp(),
		epoch_at      = statement_timestamp()`)
	return err
}

// standing is how the store stands to a state that a reader holds.
type standing struct {
	version int64
	// sameTimeline is true if the store is where its epoch began, follows if the log leads from the held state to the store's,
	// and lost if the held state is on a timeline that the store has left without a new epoch; left if one has begun since.
	sameTimeline, follows, lost, left bool
}

func (s *SnapshotSource) standingNow(ctx context.Context, held snapshot.Point) (at standing, err error) {
	err = use(ctx, s.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		at, err = s.standing(ctx, c, held)
		return err
	})
	return at, err
}

func (s *SnapshotSource) standing(ctx context.Context, q querier, held snapshot.Point) (at standing, err error) {
	err = q.QueryRow(ctx, `SELECT version, timeline = catalog_timeline(),
			known,
			NOT known AND $1 >= epoch_version AND coalesce($1 >= (SELECT min(version) FROM catalog_change WHERE version > epoch_version), true),
			NOT known AND $1 < epoch_version
		FROM catalog_version v CROSS JOIN LATERAL (SELECT
			(v.version = $1 AND v.changed_at = $2) OR (v.epoch_version = $1 AND v.epoch_at = $2) OR EXISTS (
				SELECT FROM catalog_change c WHERE c.version = $1 AND c.committed_at = $2 AND c.version > v.epoch_version)) l (known)`,
		held.Version, held.CommittedAt).Scan(&at.version, &at.sameTimeline, &at.follows, &at.lost, &at.left)
	return at, err
}

// renew begins an epoch if another, which is called under the lock of catalog_version, says that one is needed.
func (s *SnapshotSource) renew(ctx context.Context, another func(context.Context, pgx.Tx) (bool, error)) error {
	return inTx(ctx, s.pool, shortWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM catalog_version FOR UPDATE`); err != nil {
			return err
		}
		needed, err := another(ctx, tx)
		if err != nil || !needed {
			return err
		}
		if err := beginEpoch(ctx, tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `SELECT pg_notify($1, version::text) FROM catalog_version`, ChangedChannel)
		return err
	})
}

// moved tells whether the store is on another timeline than before, or than the held state.
func (s *SnapshotSource) moved(held snapshot.Point) func(context.Context, pgx.Tx) (bool, error) {
	return func(ctx context.Context, tx pgx.Tx) (bool, error) {
		now, err := s.standing(ctx, tx, held)
		return !now.sameTimeline || now.lost, err
	}
}

// Surpass implements snapshot.Source.
func (s *SnapshotSource) Surpass(ctx context.Context, version int64) error {
	return s.renew(ctx, func(ctx context.Context, tx pgx.Tx) (ahead bool, err error) {
		// A version that is later than now was given by no store.
		err = tx.QueryRow(ctx, `SELECT version < $1 AND $1 <= floor(extract(epoch FROM now()) * 1000000) FROM catalog_version`, version).Scan(&ahead)
		return ahead, err
	})
}

// Announce implements snapshot.Source. The records name the version that the store has now, since resources may have the versions
// of others that were announced and lost.
func (s *SnapshotSource) Announce(ctx context.Context, keys []catalog.Key) error {
	return inTx(ctx, s.pool, shortWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		var version int64
		if err := tx.QueryRow(ctx, `SELECT version FROM catalog_version FOR UPDATE`).Scan(&version); err != nil {
			return err
		}
		resources, err := readKeys(ctx, tx, keys)
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		var batch pgx.Batch
		for _, key := range keys {
			message, err := s.announce(ctx, key, resources[key], version, now)
			if err != nil {
				return err
			}
			if err := enqueue(&batch, message); err != nil {
				return err
			}
		}
		notify(&batch, version)
		return tx.SendBatch(ctx, &batch).Close()
	})
}
