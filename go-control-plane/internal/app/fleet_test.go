//go:build unix

package app

import (
	"testing"

	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/config"
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
