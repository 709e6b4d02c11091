package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/snapshot"
)

// SnapshotSource reads the catalog for the publisher.
type SnapshotSource struct {
	pool     *pgxpool.Pool
	announce Announcer
}

// NewSnapshotSource returns a source that uses pool.
func NewSnapshotSource(pool *pgxpool.Pool, announce Announcer) *SnapshotSource {
	return &SnapshotSource{pool, announce}
}

var oneView = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// Whole reads the whole catalog in one database snapshot. The log begins with the epoch.
func (s *SnapshotSource) Whole(ctx context.Context, maxLog int) (whole snapshot.Whole, err error) {
	if at, err := s.standingNow(ctx, snapshot.Point{}); err != nil {
		return whole, err
	} else if !at.sameTimeline {
		if err := s.renew(ctx, s.moved(snapshot.Point{})); err != nil {
			return whole, err
		}
	}
	err = inTx(ctx, s.pool, longWork, oneView, func(ctx context.Context, tx pgx.Tx) error {
		whole = snapshot.Whole{}
		err := tx.QueryRow(ctx, `SELECT version, changed_at FROM catalog_version`).Scan(&whole.Version, &whole.CommittedAt)
		if err != nil {
			return err
		}
		if err := readAll(ctx, tx, itemTable(nil, nil, nil), &whole.Resources); err != nil {
			return err
		}
		if err := readAll(ctx, tx, taxRuleTable(nil, nil, nil), &whole.Resources); err != nil {
			return err
		}
		if err := readAll(ctx, tx, promotionTable(nil, nil, nil), &whole.Resources); err != nil {
			return err
		}
		whole.Log, err = readLog(ctx, tx, `WHERE version > (SELECT epoch_version FROM catalog_version) ORDER BY version DESC, kind DESC, name DESC LIMIT $1`, maxLog)
		slices.Reverse(whole.Log)
		if len(whole.Log) == maxLog {
			// The limit may have cut off changes of the oldest version, so that version is dropped.
			oldest := whole.Log[0].Version
			whole.Log = slices.DeleteFunc(whole.Log, func(c snapshot.Change) bool { return c.Version == oldest })
		}
		return err
	})
	return whole, err
}

// Since reads the changes after the held state, and the current content of the changed resources, in one database snapshot.
func (s *SnapshotSource) Since(ctx context.Context, held snapshot.Point) (step snapshot.Step, err error) {
	// Most calls find no change, which one cheap query shows.
	now, err := s.standingNow(ctx, held)
	if err != nil {
		return step, err
	}
	if !now.sameTimeline || now.lost {
		if err := s.renew(ctx, s.moved(held)); err != nil {
			return step, err
		}
		return step, snapshot.ErrLost
	}
	if now.left {
		return step, snapshot.ErrLost
	}
	if !now.follows {
		return step, snapshot.ErrGap
	}
	if now.version == held.Version {
		return step, nil
	}
	err = inTx(ctx, s.pool, longWork, oneView, func(ctx context.Context, tx pgx.Tx) error {
		step = snapshot.Step{}
		// Between the two queries the store may have come to another timeline.
		now, err := s.standing(ctx, tx, held)
		if err != nil {
			return err
		}
		if !now.sameTimeline || !now.follows {
			return snapshot.ErrGap
		}
		step.Log, err = readLog(ctx, tx, `WHERE version > $1 ORDER BY version, kind, name`, held.Version)
		if err != nil {
			return err
		}
		keys := make([]catalog.Key, len(step.Log))
		for i, c := range step.Log {
			keys[i] = c.Key
		}
		step.Resources, err = readKeys(ctx, tx, keys)
		return err
	})
	return step, err
}

func readAll[R resource[R]](ctx context.Context, tx pgx.Tx, t *table[R], into *[]catalog.AnyResource) error {
	rows, err := tx.Query(ctx, t.selectSQL())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := t.scan(rows)
		if err != nil {
			return err
		}
		*into = append(*into, r)
	}
	return rows.Err()
}

// readKeys reads those of the resources that exist.
func readKeys(ctx context.Context, tx pgx.Tx, keys []catalog.Key) (map[catalog.Key]catalog.AnyResource, error) {
	found, names := map[catalog.Key]catalog.AnyResource{}, map[catalog.Kind][]string{}
	for _, key := range keys {
		names[key.Kind] = append(names[key.Kind], key.Name)
	}
	if err := readNamed(ctx, tx, itemTable(nil, nil, nil), names, found); err != nil {
		return nil, err
	}
	if err := readNamed(ctx, tx, taxRuleTable(nil, nil, nil), names, found); err != nil {
		return nil, err
	}
	return found, readNamed(ctx, tx, promotionTable(nil, nil, nil), names, found)
}

func readNamed[R resource[R]](ctx context.Context, tx pgx.Tx, t *table[R], names map[catalog.Kind][]string, into map[catalog.Key]catalog.AnyResource) error {
	if len(names[t.kind]) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, t.selectSQL()+` WHERE `+t.key+` = ANY($1)`, names[t.kind])
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := t.scan(rows)
		if err != nil {
			return err
		}
		into[r.Key()] = r
	}
	return rows.Err()
}

func readLog(ctx context.Context, tx pgx.Tx, clause string, arg any) ([]snapshot.Change, error) {
	rows, err := tx.Query(ctx, `SELECT version, kind, name, coalesce(previous_version, 0), deleted, committed_at FROM catalog_change `+clause, arg)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c snapshot.Change, err error) {
		err = row.Scan(&c.Version, &c.Key.Kind, &c.Key.Name, &c.Previous, &c.Deleted, &c.CommittedAt)
		return c, err
	})
}
