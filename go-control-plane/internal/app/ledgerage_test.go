//go:build unix

package app

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/jackc/pgx/v5"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/kafkatest"
	"hybrid/control-plane/internal/postgrestest"
)

// The ledger's age that nodes hear grows while quotes are not counted, while their usage is not booked, and while Kafka hangs, and
// falls when all is booked again.
func TestNodesHearHowOldTheLedgerIs(t *testing.T) {
	broker := kafkatest.Start(t)
	store := postgrestest.Database(t)
	r := run(t, config.Config{Postgres: store, Kafka: []string{broker.Address}})
	eventually(t, "ready", func() bool { return r.ready(t) })
	age := heartbeats(t, r)
	const young, old = 4 * time.Second, 8 * time.Second
	until := func(what string, fits func(age time.Duration) bool) {
		t.Helper()
		eventually(t, what, func() bool { return age.Load() != 0 && fits(time.Duration(age.Load())) })
	}
	grows := func(what string) { t.Helper(); until(what, func(age time.Duration) bool { return age > old }) }
	falls := func(what string) { t.Helper(); until(what, func(age time.Duration) bool { return age < young }) }
	falls("nothing was sold, and that is known")

	send(t, broker, contract.QuotesTopic, 0, []byte("a quote"))
	grows("a quote is not counted")
	count(t, broker, 0, 1)
	falls("it is counted")

	broker.Pause()
	grows("Kafka hangs")
	broker.Resume()
	falls("Kafka answers")

	release := holdLedger(t, store)
	send(t, broker, contract.UsageTopic, 0, usage(t, 1))
	send(t, broker, contract.QuotesTopic, 0, []byte("another quote"))
	count(t, broker, 0, 2)
	grows("usage is not booked")
	release()
	falls("it is booked")
}

// holdLedger keeps usage from being booked until it is released.
func holdLedger(t *testing.T, store string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE usage_record IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
	}
}

// heartbeats opens a node's stream, acknowledges what it brings, and returns the age that its last heartbeat named.
func heartbeats(t *testing.T, r *running) *atomic.Int64 {
	t.Helper()
	n := connect(t, r, &snapshotv1.Hello{NodeId: "node-1", SoftwareVersion: "1"})
	u := n.update()
	n.send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Ack{Ack: &snapshotv1.Ack{Nonce: u.GetNonce(), Version: u.GetVersion(), Digest: u.GetDigest()}}})
	var newest atomic.Int64
	go func() {
		for {
			m, err := n.stream.Recv()
			if err != nil {
				return
			}
			n.stream.Send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Heartbeat{Heartbeat: &snapshotv1.Heartbeat{}}})
			if age := m.GetHeartbeat().GetLedgerAge(); age != nil {
				newest.Store(int64(age.AsDuration()))
			}
		}
	}()
	return &newest
}

// count commits the offset that metering has counted quotes up to.
func count(t *testing.T, broker *kafkatest.Broker, partition int32, next int64) {
	t.Helper()
	client, err := sarama.NewClient([]string{broker.Address}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	manager, err := sarama.NewOffsetManagerFromClient(contract.MeteringGroup, client)
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	offsets, err := manager.ManagePartition(contract.QuotesTopic, partition)
	if err != nil {
		t.Fatal(err)
	}
	defer offsets.Close()
	offsets.MarkOffset(next, "")
	manager.Commit()
}
