//go:build unix

package app

import (
	"testing"
	"time"

	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/postgrestest"
)

// Two control planes on one store list each other's nodes, and the start of one does not touch those of the other.
func TestTwoControlPlanesListAllNodes(t *testing.T) {
	settings := config.Config{Postgres: postgrestest.Database(t), Kafka: noKafka(t)}
	a := run(t, settings)
	eventually(t, "the catalog is read", func() bool { return a.plane.publisher.Stats().Ready })
	follow(t, a, &snapshotv1.Hello{NodeId: "of-a", SoftwareVersion: "1\x00"}, prices{})
	connected := func(r *running, ids ...string) func() bool {
		return func() bool {
			m, err := fleetv1.NewFleetServiceClient(r.conn).ListNodes(t.Context(), &fleetv1.ListNodesRequest{})
			if err != nil || len(m.GetNodes()) != len(ids) {
				return false
			}
			for i, n := range m.GetNodes() {
				if n.GetNodeId() != ids[i] || !n.GetConnected() || n.GetAppliedVersion() != 1 {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "a has its node", connected(a, "of-a"))
	b := run(t, settings)
	eventually(t, "b lists the node of a", connected(b, "of-a"))
	follow(t, b, &snapshotv1.Hello{NodeId: "of-b"}, prices{})
	eventually(t, "b lists both", connected(b, "of-a", "of-b"))
	eventually(t, "a lists both", connected(a, "of-a", "of-b"))
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a knows that the node of b is gone", func() bool {
		m, err := fleetv1.NewFleetServiceClient(a.conn).GetNode(t.Context(), &fleetv1.GetNodeRequest{NodeId: "of-b"})
		return err == nil && !m.GetNode().GetConnected()
	})
	m, err := fleetv1.NewFleetServiceClient(a.conn).GetNode(t.Context(), &fleetv1.GetNodeRequest{NodeId: "of-a"})
	if err != nil || !m.GetNode().GetConnected() {
		t.Errorf("the node of a: %v, %v", m, err)
	}
}

// Nodes that have been gone for longer than the setting are forgotten.
func TestGoneNodesAreForgotten(t *testing.T) {
	uri := postgrestest.Database(t)
	pool, err := postgres.Open(t.Context(), uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	for id, days := range map[string]int{"gone": 8, "lately": 6} {
		if _, err := pool.Exec(t.Context(), `INSERT INTO fleet_node (node_id, software_version, connected, connected_at, last_heartbeat_at,
			offered_version, applied_version, saved_at) SELECT $1, '1', false, at, at, 1, 1, at FROM (SELECT now() - make_interval(days => $2)) t (at)`, id, days); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, config.Config{Postgres: uri, Kafka: noKafka(t), NodeRetention: 7 * 24 * time.Hour})
	eventually(t, "only the one that left lately is known", func() bool {
		m, err := fleetv1.NewFleetServiceClient(r.conn).ListNodes(t.Context(), &fleetv1.ListNodesRequest{})
		return err == nil && len(m.GetNodes()) == 1 && m.GetNodes()[0].GetNodeId() == "lately"
	})
}
