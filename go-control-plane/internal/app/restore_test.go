//go:build unix

package app

import (
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
			held, n := prices{}, connect(t, r, &snapshotv1.Hello{NodeId: "node-1"})
			first := n.update()
			n.ack(first)
			held.apply(first)
			if held["mug"] != 150 || held["cup"] != 50 {
				t.Fatalf("before: %v", held)
			}
			old := &snapshotv1.Hello{NodeId: "node-2", HeldVersion: first.GetVersion(), HeldDigest: first.GetDigest()}
			if c.restarted {
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
			}
			restore()
			if c.restarted {
				r = run(t, settings)
				eventually(t, "the catalog is read", func() bool { return r.plane.publisher.Stats().Ready })
				n = connect(t, r, &snapshotv1.Hello{NodeId: "node-1", HeldVersion: old.GetHeldVersion(), HeldDigest: old.GetHeldDigest()})
				u := n.update()
				n.ack(u)
				held.apply(u)
				eventually(t, "the version is above the lost one", func() bool { return r.plane.publisher.Stats().Version > lost })
			}
			for !maps.Equal(held, c.want) {
				u := n.update()
				n.ack(u)
				held.apply(u)
			}
			// A node that was away, and holds the lost state, gets the whole.
			away := prices{"mug": 150, "cup": 50}
			away.apply(connect(t, r, old).update())
			if !maps.Equal(away, c.want) {
				t.Errorf("the node that was away has %v, want %v", away, c.want)
			}
			next := create("pen", 7)
			if next <= lost {
				t.Errorf("version %d was given again", next)
			}
			for held["pen"] != 7 {
				u := n.update()
				n.ack(u)
				held.apply(u)
			}
			c.want["pen"] = 7
			if !maps.Equal(held, c.want) {
				t.Errorf("%v, want %v", held, c.want)
			}
			nodes, err := fleetv1.NewFleetServiceClient(r.conn).ListNodes(t.Context(), &fleetv1.ListNodesRequest{})
			if err != nil || nodes.GetCurrentVersion() < next {
				t.Errorf("%v, %v", nodes, err)
			}
		})
	}
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
		var report struct {
			Tasks []struct{ Name, Status, Detail string }
		}
		r.get(t, "/readyz", &report)
		for _, task := range report.Tasks {
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
