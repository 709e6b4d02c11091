package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/fleet"
)

const (
	// aliveFor is how long a control plane counts as alive after it has loaded the fleet; it does so every few seconds.
	aliveFor = 10 * time.Second
	// commitDelay is more than passes between a row's saved_at and its commit.
	commitDelay = 45 * time.Second
)

// FleetStore stores the state of the fleet.
type FleetStore struct {
	pool *pgxpool.Pool
	// seen is when the control plane was last noted as alive.
	seen time.Time
}

// NewFleetStore returns a store that uses pool, for one control plane.
func NewFleetStore(pool *pgxpool.Pool) *FleetStore { return &FleetStore{pool: pool} }

var _ fleet.Store = (*FleetStore)(nil)

// Load implements fleet.Store. It is not safe for concurrent use.
func (s *FleetStore) Load(ctx context.Context, self string, since time.Time) (loaded fleet.Loaded, err error) {
	if err := s.attend(ctx, self, &loaded); err != nil {
		return loaded, err
	}
	if loaded.Anew {
		since = time.Time{}
	} else if !since.IsZero() {
		since = since.Add(-commitDelay)
	}
	err = inTx(ctx, s.pool, shortWork, oneView, func(ctx context.Context, tx pgx.Tx) error {
		loaded.Nodes, loaded.Alive = nil, map[string]bool{}
		rows, err := tx.Query(ctx, `SELECT control_plane_id FROM control_plane WHERE seen_at > clock_timestamp() - $1::interval`, aliveFor)
		if err != nil {
			return err
		}
		var id string
		if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { loaded.Alive[id] = true; return nil }); err != nil {
			return err
		}
		loaded.Nodes, err = nodesSince(ctx, tx, since)
		return err
	})
	if err == nil {
		s.seen = loaded.At
	}
	return loaded, err
}

// attend notes that self is alive. It tells whether the note of the last time is gone, as after a restore.
func (s *FleetStore) attend(ctx context.Context, self string, loaded *fleet.Loaded) error {
	return use(ctx, s.pool, shortWork, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, `WITH old AS (SELECT seen_at FROM control_plane WHERE control_plane_id = $1),
		forgotten AS (DELETE FROM control_plane WHERE seen_at < clock_timestamp() - interval '1 day' AND control_plane_id <> $1
			AND NOT EXISTS (SELECT FROM fleet_node WHERE owner = control_plane_id AND connected))
		INSERT INTO control_plane (control_plane_id, seen_at) VALUES ($1, clock_timestamp())
		ON CONFLICT (control_plane_id) DO UPDATE SET seen_at = excluded.seen_at
		RETURNING seen_at, (SELECT seen_at FROM old) IS DISTINCT FROM $2`, self, s.seen).Scan(&loaded.At, &loaded.Anew)
	})
}

func nodesSince(ctx context.Context, tx pgx.Tx, since time.Time) ([]fleet.Node, error) {
	rows, err := tx.Query(ctx, `SELECT node_id, software_version, connected, connected_at, last_heartbeat_at,
		offered_version, applied_version, applied_at, owner FROM fleet_node WHERE saved_at >= $1 ORDER BY node_id`, since)
	if err != nil {
		return nil, err
	}
	byID := map[string]int{}
	var nodes []fleet.Node
	nodes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (n fleet.Node, err error) {
		var applied *time.Time
		err = row.Scan(&n.ID, &n.SoftwareVersion, &n.Connected, &n.ConnectedAt, &n.LastHeartbeatAt,
			&n.OfferedVersion, &n.AppliedVersion, &applied, &n.Owner)
		n.ConnectedAt, n.LastHeartbeatAt, n.AppliedAt = n.ConnectedAt.UTC(), n.LastHeartbeatAt.UTC(), instant(applied)
		byID[n.ID] = len(byID)
		return n, err
	})
	if err != nil || len(nodes) == 0 {
		return nodes, err
	}
	rows, err = tx.Query(ctx, `SELECT r.node_id, kind, name, version, field, code, message FROM fleet_reject r
		JOIN fleet_node n USING (node_id) WHERE n.saved_at >= $1 ORDER BY node_id, kind, name`, since)
	if err != nil {
		return nil, err
	}
	var id string
	var r fleet.Reject
	_, err = pgx.ForEachRow(rows, []any{&id, &r.Key.Kind, &r.Key.Name, &r.Version, &r.Field, &r.Code, &r.Text}, func() error {
		n := &nodes[byID[id]]
		n.Rejects = append(n.Rejects, r)
		return nil
	})
	return nodes, err
}

// Save implements fleet.Store, in one round trip for all nodes, and another one for rejects if there are any changes of them.
func (s *FleetStore) Save(ctx context.Context, changes []fleet.Change) error {
	changes = slices.Clone(changes)
	// In one order, so that two control planes cannot deadlock.
	slices.SortFunc(changes, func(a, b fleet.Change) int { return cmp.Compare(a.ID, b.ID) })
	return inTx(ctx, s.pool, longWork, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		saved, err := saveNodes(ctx, tx, changes)
		if err != nil {
			return err
		}
		var replaced, ids, kinds, names, fields, codes, texts []string
		var versions []int64
		for _, c := range changes {
			if !c.Rejected || !saved[c.ID] {
				continue
			}
			replaced = append(replaced, c.ID)
			for _, r := range c.Rejects {
				ids, kinds, names = append(ids, c.ID), append(kinds, string(r.Key.Kind)), append(names, storable(r.Key.Name))
				fields, codes, texts = append(fields, storable(r.Field)), append(codes, storable(r.Code)), append(texts, storable(r.Text))
				versions = append(versions, r.Version)
			}
		}
		if len(replaced) == 0 {
			return nil
		}
		var batch pgx.Batch
		batch.Queue(`DELETE FROM fleet_reject WHERE node_id = ANY($1)`, replaced)
		batch.Queue(`INSERT INTO fleet_reject (node_id, kind, name, version, field, code, message)
			SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[])
			ON CONFLICT DO NOTHING`,
			ids, kinds, names, versions, fields, codes, texts)
		return tx.SendBatch(ctx, &batch).Close()
	})
}

// saveNodes writes the rows that no other control plane has in a later session, and returns which these were.
func saveNodes(ctx context.Context, tx pgx.Tx, changes []fleet.Change) (map[string]bool, error) {
	n := len(changes)
	ids, software, owners := make([]string, n), make([]string, n), make([]string, n)
	connected, since, heard, applied := make([]bool, n), make([]time.Time, n), make([]time.Time, n), make([]*time.Time, n)
	offered, versions := make([]int64, n), make([]int64, n)
	for i, c := range changes {
		ids[i], software[i], owners[i] = c.ID, storable(c.SoftwareVersion), c.Owner
		connected[i], since[i], heard[i], applied[i] = c.Connected, c.ConnectedAt, c.LastHeartbeatAt, nullable(c.AppliedAt)
		offered[i], versions[i] = c.OfferedVersion, c.AppliedVersion
	}
	rows, err := tx.Query(ctx, `INSERT INTO fleet_node AS n (node_id, software_version, connected, connected_at, last_heartbeat_at,
			offered_version, applied_version, applied_at, owner)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bool[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::timestamptz[], $9::text[])
		ON CONFLICT (node_id) DO UPDATE SET software_version = excluded.software_version, connected = excluded.connected,
			connected_at = excluded.connected_at, last_heartbeat_at = excluded.last_heartbeat_at, offered_version = excluded.offered_version,
			applied_version = excluded.applied_version, applied_at = excluded.applied_at, owner = excluded.owner, saved_at = clock_timestamp()
		WHERE n.owner = excluded.owner OR n.connected_at <= excluded.connected_at
		RETURNING node_id`, ids, software, connected, since, heard, offered, versions, applied, owners)
	if err != nil {
		return nil, err
	}
	saved := map[string]bool{}
	var id string
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error { saved[id] = true; return nil })
	return saved, err
}

// Forget implements fleet.Store. A node whose row says that it is connected is gone since its control plane is.
func (s *FleetStore) Forget(ctx context.Context, gone time.Duration) (left map[string]bool, err error) {
	err = deleteAll(ctx, s.pool, `DELETE FROM fleet_node WHERE node_id IN (
		SELECT node_id FROM fleet_node n WHERE saved_at < clock_timestamp() - $1::interval AND NOT EXISTS (
			SELECT FROM control_plane c WHERE c.control_plane_id = n.owner AND n.connected AND c.seen_at >= clock_timestamp() - $1::interval)
		ORDER BY node_id LIMIT 1000)`, gone)
	if err != nil {
		return nil, err
	}
	err = use(ctx, s.pool, longWork, func(ctx context.Context, c *pgxpool.Conn) error {
		left = map[string]bool{}
		rows, err := c.Query(ctx, `SELECT node_id FROM fleet_node`)
		if err != nil {
			return err
		}
		var id string
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error { left[id] = true; return nil })
		return err
	})
	return left, err
}
