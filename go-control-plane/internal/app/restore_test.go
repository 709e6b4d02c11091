//go:build unix

package app

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/postgrestest"
)

// prices is what a node has after updates: the price of each item.
type prices map[string]int64

func (p prices) apply(u *snapshotv1.Update) {
	if u.GetAuthoritative() {
		clear(p)
	}
	for _, r := range u.GetUpserts() {
		p[r.GetItem().GetSku()] = r.GetItem().GetUnitPrice().GetMinorUnits()
	}
	for _, key := range u.GetRemovals() {
		delete(p, key.GetName())
	}
}

// follower is a node that reads its stream all the time, and connects again with what it holds when that ends.
type follower struct {
	mu     sync.Mutex
	prices prices
	hello  *snapshotv1.Hello
}

// follow starts a follower that holds a state already, and ends it with the test.
func follow(t *testing.T, r *running, hello *snapshotv1.Hello, held prices) *follower {
	f := &follower{prices: maps.Clone(held), hello: hello}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			f.stream(ctx, snapshotv1.NewSnapshotServiceClient(r.conn))
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// stream follows one stream to its end.
func (f *follower) stream(ctx context.Context, client snapshotv1.SnapshotServiceClient) {
	stream, err := client.StreamSnapshot(ctx, grpc.WaitForReady(true))
	if err != nil {
		return
	}
	err = stream.Send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Hello{Hello: f.hello}})
	for err == nil {
		var m *snapshotv1.StreamSnapshotResponse
		if m, err = stream.Recv(); err != nil {
			return
		}
		u := m.GetUpdate()
		if u == nil {
			err = stream.Send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Heartbeat{Heartbeat: &snapshotv1.Heartbeat{}}})
			continue
		}
		f.mu.Lock()
		f.prices.apply(u)
		f.hello = &snapshotv1.Hello{NodeId: f.hello.GetNodeId(), HeldVersion: u.GetVersion(), HeldDigest: u.GetDigest()}
		f.mu.Unlock()
		err = stream.Send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Ack{Ack: &snapshotv1.Ack{
			Nonce: u.GetNonce(), Version: u.GetVersion(), Digest: u.GetDigest(), AppliedAt: timestamppb.Now()}}})
	}
}

// holds returns a condition: that the node has these prices.
func (f *follower) holds(want prices) func() bool {
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return maps.Equal(f.prices, want)
	}
}

// Whatever way the store goes back, nodes come to price what the catalog shows, and hear of all that is written then. A state
// that was lost is never taken for one of the store's.
func TestNodesFollowARestoredStore(t *testing.T) {
	// The same version number as the one that was lost, with the same keys changed: mug has version 3 and cup version 4 again.
	again := []string{
		`UPDATE item SET unit_price_minor = 111, version = 3 WHERE sku = 'mug'`,
		`INSERT INTO item SELECT 'cup', name, currency_code, 222, tax_category, 4, updated_at FROM item WHERE sku = 'mug'`,
		`INSERT INTO catalog_change SELECT 3, 'item', 'mug', 2, false, clock_timestamp()`,
		`INSERT INTO catalog_change SELECT 4, 'item', 'cup', NULL, false, clock_timestamp()`,
		`UPDATE catalog_version SET version = 4, changed_at = (SELECT committed_at FROM catalog_change WHERE version = 4)`,
	}
	further := append([]string{}, again...)
	further = append(further,
		`INSERT INTO item SELECT 'jar', name, currency_code, 333, tax_category, 5, updated_at FROM item WHERE sku = 'mug'`,
		`INSERT INTO catalog_change SELECT 5, 'item', 'jar', NULL, false, clock_timestamp()`,
		`UPDATE catalog_version SET version = 5, changed_at = (SELECT committed_at FROM catalog_change WHERE version = 5)`)
	for name, c := range map[string]struct {
		inPlace bool
		// since is what else happens before the control plane can see that the store has gone back.
		since []string
		// restarted is true if no control plane saw the store before.
		restarted bool
		want      prices
	}{
		"another database":                   {want: prices{"mug": 100}},
		"in place":                           {inPlace: true, want: prices{"mug": 100}},
		"in place, to the version it had":    {inPlace: true, since: again, want: prices{"mug": 111, "cup": 222}},
		"in place, to a later version":       {inPlace: true, since: further, want: prices{"mug": 111, "cup": 222, "jar": 333}},
		"another database, before a restart": {restarted: true, want: prices{"mug": 100}},
		"in place, before a restart":         {inPlace: true, restarted: true, want: prices{"mug": 100}},
	} {
		t.Run(name, func(t *testing.T) {
			settings := config.Config{Postgres: postgrestest.Database(t), Kafka: noKafka(t)}
			r := run(t, settings)
			create := func(sku string, minor int64) (version int64) {
				t.Helper()
				eventually(t, sku+" is created", func() bool {
					created, err := catalogv1.NewCatalogServiceClient(r.conn).CreateItem(t.Context(), &catalogv1.CreateItemRequest{Item: item(sku, minor)})
					version = created.GetItem().GetVersion()
					return err == nil
				})
				return version
			}
			eventually(t, "the catalog is read", func() bool { return r.plane.publisher.Stats().Ready })
			mug := create("mug", 100)
			var restore func()
			if c.inPlace {
				inPlace := postgrestest.BackupInPlace(t, settings.Postgres)
				restore = func() { inPlace(c.since...) }
			} else {
				restore = postgrestest.Backup(t, settings.Postgres)
			}
			eventually(t, "mug is updated", func() bool {
				change := item("mug", 150)
				change.Version = mug
				_, err := catalogv1.NewCatalogServiceClient(r.conn).UpdateItem(t.Context(), &catalogv1.UpdateItemRequest{Item: change})
				return err == nil
			})
			lost := create("cup", 50)
			eventually(t, "the publisher has it", func() bool { return r.plane.publisher.Stats().Version == lost })
			before := prices{"mug": 150, "cup": 50}
			n := follow(t, r, &snapshotv1.Hello{NodeId: "node-1"}, prices{})
			eventually(t, "the node has the later prices", n.holds(before))
			n.mu.Lock()
			held := n.hello
			n.mu.Unlock()
			if c.restarted {
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
			}
			restore()
			if c.restarted {
				r = run(t, settings)
				n = follow(t, r, held, before)
			}
			eventually(t, "the node has the prices of the store", n.holds(c.want))
			eventually(t, "the version is above the lost one", func() bool { return r.plane.publisher.Stats().Version > lost })
			// A node that was away, and holds the lost state.
			away := follow(t, r, &snapshotv1.Hello{NodeId: "node-2", HeldVersion: held.GetHeldVersion(), HeldDigest: held.GetHeldDigest()}, before)
			eventually(t, "the node that was away has the prices of the store", away.holds(c.want))
			next := create("pen", 7)
			if next <= lost {
				t.Errorf("version %d was given again", next)
			}
			c.want["pen"] = 7
			eventually(t, "the node has what was written later", n.holds(c.want))
			eventually(t, "so has the other", away.holds(c.want))
			// Readers of the catalog's topic hear of it as well, where a control plane knew what was lost.
			if !c.restarted {
				announced := r.announced(t, settings.Postgres, "item/mug")
				if _, cup := announced["item/cup"]; announced["item/mug"] == 0 || !cup || (announced["item/cup"] != 0) != (c.since != nil) {
					t.Errorf("announced: %v", announced)
				}
			}
			nodes, err := fleetv1.NewFleetServiceClient(r.conn).ListNodes(t.Context(), &fleetv1.ListNodesRequest{})
			if err != nil || nodes.GetCurrentVersion() < next {
				t.Errorf("%v, %v", nodes, err)
			}
		})
	}
}

// announced returns the length of the newest message about each key in the outbox, once it has one about key that was not there
// before.
func (r *running) announced(t *testing.T, uri, key string) map[string]int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	newest := map[string]int{}
	eventually(t, "there is a message about "+key, func() bool {
		rows, err := conn.Query(t.Context(), `SELECT convert_from(key, 'UTF8'), coalesce(length(value), 0) FROM outbox
			WHERE created_at > (SELECT epoch_at FROM catalog_version) ORDER BY outbox_id`)
		if err != nil {
			t.Fatal(err)
		}
		var name string
		var length int
		if _, err := pgx.ForEachRow(rows, []any{&name, &length}, func() error { newest[name] = length; return nil }); err != nil {
			t.Fatal(err)
		}
		_, found := newest[key]
		return found
	})
	return newest
}

// A store whose schema is gone is migrated, and the control plane goes on with what is in it.
func TestASchemaThatIsMissingIsMadeAnew(t *testing.T) {
	settings := config.Config{Postgres: postgrestest.Database(t), Kafka: noKafka(t)}
	empty := postgrestest.Backup(t, settings.Postgres)
	r := run(t, settings)
	create := func(sku string) bool {
		_, err := catalogv1.NewCatalogServiceClient(r.conn).CreateItem(t.Context(), &catalogv1.CreateItemRequest{Item: item(sku, 1)})
		return err == nil
	}
	eventually(t, "mug is created", func() bool { return create("mug") })
	eventually(t, "mug is published", func() bool { return r.plane.publisher.Stats().Resources == 1 })
	empty()
	eventually(t, "the catalog is empty", func() bool { return r.plane.publisher.Stats().Resources == 0 })
	eventually(t, "it takes writes again", func() bool { return create("mug") })
}

// Readiness tells that the store takes no writes, and why, and heals with it.
func TestReadinessTellsOfAReadOnlyStore(t *testing.T) {
	settings := config.Config{Postgres: postgrestest.Database(t), Kafka: noKafka(t)}
	r := run(t, settings)
	detail := func() (status, detail string) {
		for _, task := range r.report(t).Tasks {
			if task.Name == taskWrites {
				return task.Status, task.Detail
			}
		}
		return "", ""
	}
	writable := func() bool { status, _ := detail(); return status == "done" }
	eventually(t, "writable", writable)
	admin, err := pgx.Connect(t.Context(), settings.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	database := strings.TrimPrefix(admin.Config().Database, "/")
	for _, statement := range []string{
		`ALTER DATABASE ` + database + ` SET default_transaction_read_only = on`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "readiness says why", func() bool { status, text := detail(); return status == "pending" && strings.Contains(text, "25006") })
	_, err = catalogv1.NewCatalogServiceClient(r.conn).CreateItem(t.Context(), &catalogv1.CreateItemRequest{Item: item("mug", 1)})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("create: %v", err)
	}
	for _, statement := range []string{`SET default_transaction_read_only = off`, `ALTER DATABASE ` + database + ` RESET default_transaction_read_only`} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "writable again", writable)
	eventually(t, "an item is created", func() bool {
		_, err := catalogv1.NewCatalogServiceClient(r.conn).CreateItem(t.Context(), &catalogv1.CreateItemRequest{Item: item("mug", 1)})
		return err == nil
	})
}
