package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/fleet"
)

// FleetStore stores the state of the fleet.
type FleetStore struct {
	pool *pgxpool.Pool
}

// NewFleetStore returns a store that uses pool.
func NewFleetStore(pool *pgxpool.Pool) *FleetStore { return &FleetStore{pool} }

var _ fleet.Store = (*FleetStore)(nil)

// LoadNodes reads every node.
func (s *FleetStore) LoadNodes(ctx context.Context) (nodes []fleet.Node, err error) {
	err = inTx(ctx, s.pool, oneView, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT node_id, software_version, connected, connected_at, last_heartbeat_at,
			offered_version, applied_version, applied_at FROM fleet_node ORDER BY node_id`)
		if err != nil {
			return err
		}
		nodes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (n fleet.Node, err error) {
			var applied *time.Time
			err = row.Scan(&n.ID, &n.SoftwareVersion, &n.Connected, &n.ConnectedAt, &n.LastHeartbeatAt,
				&n.OfferedVersion, &n.AppliedVersion, &applied)
			n.AppliedAt = instant(applied)
			return n, err
		})
		if err != nil {
			return err
		}
		byID := map[string]*fleet.Node{}
		for i := range nodes {
			byID[nodes[i].ID] = &nodes[i]
		}
		rows, err = tx.Query(ctx, `SELECT node_id, kind, name, version, field, code, message FROM fleet_reject ORDER BY node_id, kind, name`)
		if err != nil {
			return err
		}
		var id string
		var r fleet.Reject
		_, err = pgx.ForEachRow(rows, []any{&id, &r.Key.Kind, &r.Key.Name, &r.Version, &r.Field, &r.Code, &r.Text}, func() error {
			byID[id].Rejects = append(byID[id].Rejects, r)
			return nil
		})
		return err
	})
	return nodes, err
}

// SaveNodes inserts or replaces these nodes.
func (s *FleetStore) SaveNodes(ctx context.Context, nodes []fleet.Node) error {
	return inTx(ctx, s.pool, pgx.TxOptions{}, func(tx pgx.Tx) error {
		var batch pgx.Batch
		for _, n := range nodes {
			batch.Queue(`INSERT INTO fleet_node (node_id, software_version, connected, connected_at, last_heartbeat_at,
					offered_version, applied_version, applied_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
				ON CONFLICT (node_id) DO UPDATE SET software_version = excluded.software_version, connected = excluded.connected,
					connected_at = excluded.connected_at, last_heartbeat_at = excluded.last_heartbeat_at,
					offered_version = excluded.offered_version, applied_version = excluded.applied_version, applied_at = excluded.applied_at`,
				n.ID, n.SoftwareVersion, n.Connected, n.ConnectedAt, n.LastHeartbeatAt, n.OfferedVersion, n.AppliedVersion, nullable(n.AppliedAt))
			batch.Queue(`DELETE FROM fleet_reject WHERE node_id = $1`, n.ID)
			for _, r := range n.Rejects {
				batch.Queue(`INSERT INTO fleet_reject (node_id, kind, name, version, field, code, message) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
					n.ID, r.Key.Kind, r.Key.Name, r.Version, r.Field, r.Code, r.Text)
			}
		}
		return tx.SendBatch(ctx, &batch).Close()
	})
}
