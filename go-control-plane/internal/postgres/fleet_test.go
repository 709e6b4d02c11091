//go:build unix

package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/postgres"
)

func TestFleetComesBack(t *testing.T) {
	pool := open(t)
	store := postgres.NewFleetStore(pool)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := fleet.Node{ID: "a", SoftwareVersion: "1", Connected: true, ConnectedAt: at, LastHeartbeatAt: at, OfferedVersion: 7, AppliedVersion: 6, AppliedAt: at, Owner: "me",
		Rejects: []fleet.Reject{{Key: catalog.Key{Kind: catalog.KindItem, Name: "mug"}, Version: 7, Field: "name", Code: "ODD", Text: "odd"}}}
	b := fleet.Node{ID: "b", ConnectedAt: at, LastHeartbeatAt: at, Owner: "me"}
	load := func(since time.Time) fleet.Loaded {
		t.Helper()
		loaded, err := store.Load(t.Context(), "me", since)
		if err != nil {
			t.Fatal(err)
		}
		return loaded
	}
	save := func(changes ...fleet.Change) {
		t.Helper()
		if err := store.Save(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, got []fleet.Node, want ...fleet.Node) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v\nwant %v", what, got, want)
		}
	}
	if loaded := load(time.Time{}); !loaded.Anew || len(loaded.Nodes) != 0 || !loaded.Alive["me"] || time.Since(loaded.At).Abs() > time.Minute {
		t.Errorf("at first: %+v", loaded)
	}
	save(fleet.Change{Node: b}, fleet.Change{Node: a, Rejected: true})
	loaded := load(time.Time{})
	check("all", loaded.Nodes, a, b)
	if loaded.Anew {
		t.Error("the store does not know us")
	}
	// Rejects are replaced only if they changed.
	a.Rejects[0].Code = "ODDER"
	save(fleet.Change{Node: a, Rejected: true})
	kept := a
	kept.Rejects = nil
	save(fleet.Change{Node: kept})
	check("replaced", load(time.Time{}).Nodes, a, b)

	// Of two sessions the later one counts, whoever writes last.
	other := a
	other.Owner, other.ConnectedAt, other.Rejects = "other", at.Add(-time.Second), nil
	save(fleet.Change{Node: other, Rejected: true})
	check("an earlier session elsewhere", load(time.Time{}).Nodes, a, b)
	other.ConnectedAt = at
	save(fleet.Change{Node: other, Rejected: true})
	check("a later session elsewhere", load(time.Time{}).Nodes, other, b)

	// Only what was saved since is read, and a control plane that has not asked for a while is not alive.
	for _, statement := range []string{`UPDATE fleet_node SET saved_at = now() - interval '1 hour' WHERE node_id = 'b'`,
		`INSERT INTO control_plane VALUES ('quiet', now() - interval '11 seconds'), ('old', now() - interval '2 days'), ('other', now())`} {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	loaded = load(time.Now())
	check("since now", loaded.Nodes, other)
	if len(loaded.Alive) != 2 || !loaded.Alive["me"] || !loaded.Alive["other"] {
		t.Errorf("alive: %v", loaded.Alive)
	}
	if n := count(t, pool, "control_plane"); n != 3 {
		t.Errorf("%d control planes are remembered", n)
	}
	// A restored store is one that has an older note of us.
	if _, err := pool.Exec(t.Context(), `UPDATE control_plane SET seen_at = seen_at - interval '1 second' WHERE control_plane_id = 'me'`); err != nil {
		t.Fatal(err)
	}
	if loaded := load(time.Now()); !loaded.Anew || len(loaded.Nodes) != 2 {
		t.Errorf("after a restore: %+v", loaded)
	}
}

// Text that Postgres refuses keeps no node from being stored.
func TestTextThatPostgresRefuses(t *testing.T) {
	store := postgres.NewFleetStore(open(t))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, odd := range []string{"\x00", "a\x00b", "\xff", "\xed\xa0\x80"} {
		reject := fleet.Reject{Key: catalog.Key{Kind: catalog.KindItem, Name: odd}, Field: odd, Code: odd, Text: odd}
		same := reject
		same.Key.Name = strings.ToValidUTF8(strings.ReplaceAll(odd, "\x00", "\uFFFD"), "\uFFFD")
		changes := []fleet.Change{
			{Node: fleet.Node{ID: "odd", SoftwareVersion: odd, ConnectedAt: at, LastHeartbeatAt: at, Rejects: []fleet.Reject{reject, same}}, Rejected: true},
			{Node: fleet.Node{ID: "plain", SoftwareVersion: "1" + odd, ConnectedAt: at, LastHeartbeatAt: at}},
		}
		if err := store.Save(t.Context(), changes); err != nil {
			t.Errorf("%q: %v", odd, err)
			continue
		}
		loaded, err := store.Load(t.Context(), "me", time.Time{})
		if err != nil || len(loaded.Nodes) != 2 || len(loaded.Nodes[0].Rejects) != 1 || loaded.Nodes[0].Rejects[0].Text != same.Key.Name {
			t.Errorf("%q: %+v, %v", odd, loaded, err)
		}
	}
}

// What has been gone for long is forgotten. A row that says that its node is connected counts as long as its control plane lives.
func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	pool := open(t)
	store := postgres.NewFleetStore(pool)
	now := time.Now().UTC()
	save := func(id, owner string, connected bool) {
		t.Helper()
		n := fleet.Node{ID: id, ConnectedAt: now, LastHeartbeatAt: now, Connected: connected, Owner: owner,
			Rejects: []fleet.Reject{{Key: catalog.Key{Kind: catalog.KindItem, Name: "mug"}, Version: 1}}}
		if err := store.Save(t.Context(), []fleet.Change{{Node: n, Rejected: true}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, owner := range []string{"me", "lately dead", "long dead"} {
		if _, err := postgres.NewFleetStore(pool).Load(t.Context(), owner, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	save("gone", "me", false)
	save("connected", "me", true)
	save("of one that died lately", "lately dead", true)
	save("of one that died long ago", "long dead", true)
	execute(t, pool, `UPDATE fleet_node SET saved_at = saved_at - interval '31 days'`,
		`UPDATE control_plane SET seen_at = seen_at - interval '2 days' WHERE control_plane_id = 'lately dead'`,
		`UPDATE control_plane SET seen_at = seen_at - interval '31 days' WHERE control_plane_id = 'long dead'`)
	save("left lately", "me", false)
	// Those of whose nodes something is known are not forgotten sooner.
	if _, err := store.Load(t.Context(), "me", time.Time{}); err != nil {
		t.Fatal(err)
	}
	left, err := store.Forget(t.Context(), 30*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if want := "map[connected:true left lately:true of one that died lately:true]"; fmt.Sprint(left) != want {
		t.Errorf("left are %v, want %v", left, want)
	}
	if n := count(t, pool, "fleet_node"); n != 3 {
		t.Errorf("%d nodes, want 3", n)
	}
	if n := count(t, pool, "fleet_reject"); n != 3 {
		t.Errorf("rejects of %d nodes, want of 3", n)
	}
	// With no node left, a control plane that is gone is forgotten.
	execute(t, pool, `UPDATE fleet_node SET connected = false`)
	if _, err := store.Load(t.Context(), "me", time.Time{}); err != nil || count(t, pool, "control_plane") != 1 {
		t.Errorf("%d control planes, %v", count(t, pool, "control_plane"), err)
	}
}
