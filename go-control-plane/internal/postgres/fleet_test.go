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
