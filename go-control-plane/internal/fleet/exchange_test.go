package fleet_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/fleet"
)

// plane is the registry of one of several control planes on one store.
func plane(t *testing.T, s *store, now func() time.Time) (r *fleet.Registry, stop func()) {
	t.Helper()
	return forgetful(t, s, now, 0)
}

// forgetful is a plane that forgets nodes that are gone for this long.
func forgetful(t *testing.T, s *store, now func() time.Time, gone time.Duration) (r *fleet.Registry, stop func()) {
	t.Helper()
	r = fleet.NewRegistry(now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, s, time.Millisecond, gone, slog.New(slog.DiscardHandler)) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return r, stop
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func at(seconds int) func() time.Time {
	return func() time.Time { return instant.Add(time.Duration(seconds) * time.Second) }
}

// Each of two control planes lists the nodes of both, and neither changes those of the other.
func TestControlPlanesShareTheFleet(t *testing.T) {
	s := &store{saved: map[string]fleet.Node{}}
	a, stopA := plane(t, s, at(0))
	one := a.Connect("one", "1", 1)
	one.Acknowledged(7, instant, true, nil, []fleet.Reject{{Key: key("a"), Code: "X"}})
	eventually(t, "the store has the node", func() bool { n, _ := s.get("one"); return n.AppliedVersion == 7 && len(n.Rejects) == 1 })
	b, _ := plane(t, s, at(1))
	two := b.Connect("two", "1", 1)
	eventually(t, "b lists both", func() bool {
		n, ok := b.Node("one")
		return ok && n.Connected && len(n.Rejects) == 1 && len(b.Nodes()) == 2
	})
	eventually(t, "a lists both", func() bool { n, ok := a.Node("two"); return ok && n.Connected && len(a.Nodes()) == 2 })
	if n, _ := a.Node("one"); !n.Connected || !a.Own(n) || b.Own(n) {
		t.Errorf("%+v", n)
	}
	two.Acknowledged(8, instant, true, nil, nil)
	eventually(t, "a hears how far the node of b is", func() bool { n, _ := a.Node("two"); return n.AppliedVersion == 8 })

	// The node moves to b; what a says of its old session then changes nothing.
	moved := b.Connect("one", "2", 7)
	eventually(t, "the store knows b as the owner", func() bool { n, _ := s.get("one"); return b.Own(n) && n.Connected })
	one.Disconnect()
	eventually(t, "a knows that the node is connected to b", func() bool { n, _ := a.Node("one"); return b.Own(n) && n.Connected })
	if n, _ := s.get("one"); !b.Own(n) || !n.Connected || len(n.Rejects) != 1 {
		t.Errorf("stored: %+v", n)
	}
	moved.Acknowledged(9, instant, false, []catalog.Key{key("a")}, nil)
	eventually(t, "a hears that the reject is gone", func() bool { n, _ := a.Node("one"); return len(n.Rejects) == 0 && n.AppliedVersion == 9 })

	// It moves back, and a ends in order: the node is not connected any more.
	back := a.Connect("one", "2", 9)
	back.Disconnect()
	stopA()
	if n, _ := s.get("one"); !b.Own(n) {
		t.Errorf("an earlier session took the node: %+v", n)
	}
}

// The nodes of a control plane that is gone are not connected.
func TestNodesOfADeadControlPlane(t *testing.T) {
	s := &store{saved: map[string]fleet.Node{"n": {ID: "n", Connected: true, Owner: "dead"}}, seen: map[string]bool{"dead": true}}
	r, _ := plane(t, s, at(0))
	eventually(t, "the node is connected while its control plane is alive", func() bool { n, ok := r.Node("n"); return ok && n.Connected })
	s.mu.Lock()
	s.dead = map[string]bool{"dead": true}
	s.mu.Unlock()
	eventually(t, "the node is not connected", func() bool { n, _ := r.Node("n"); return !n.Connected })
}

// What a node answered before the store was read counts more than what the store has.
func TestAnswersBeforeTheStoreWasRead(t *testing.T) {
	stored := []fleet.Reject{{Key: key("a"), Code: "OLD"}, {Key: key("b"), Code: "OLD"}, {Key: key("c"), Code: "OLD"}}
	for name, c := range map[string]struct {
		answer func(*fleet.Session)
		want   string
	}{
		"nothing": {func(*fleet.Session) {}, "a OLD b OLD c OLD "},
		"a delta": {func(s *fleet.Session) {
			s.Acknowledged(2, instant, false, []catalog.Key{key("a"), key("b")}, []fleet.Reject{{Key: key("b"), Code: "NEW"}})
		}, "b NEW c OLD "},
		"the whole": {func(s *fleet.Session) { s.Acknowledged(2, instant, true, nil, nil) }, ""},
		"the whole and a delta": {func(s *fleet.Session) {
			s.Acknowledged(2, instant, true, nil, []fleet.Reject{{Key: key("d"), Code: "NEW"}})
			s.Acknowledged(3, instant, false, []catalog.Key{key("a")}, nil)
		}, "d NEW "},
	} {
		s := &store{saved: map[string]fleet.Node{"n": {ID: "n", Rejects: stored}}}
		r := fleet.NewRegistry(clock)
		c.answer(r.Connect("n", "1", 1))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx, s, time.Millisecond, 0, slog.New(slog.DiscardHandler)) }()
		text := func(n fleet.Node) (text string) {
			for _, reject := range n.Rejects {
				text += reject.Key.Name + " " + reject.Code + " "
			}
			return text
		}
		eventually(t, name+": not stored", func() bool { n, _ := s.get("n"); return n.Connected && text(n) == c.want })
		if n, _ := r.Node("n"); text(n) != c.want {
			t.Errorf("%s: %q, want %q", name, text(n), c.want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A store that has forgotten this control plane, as after a restore, gets all of its nodes again.
func TestAStoreThatForgot(t *testing.T) {
	s := &store{saved: map[string]fleet.Node{}}
	r, _ := plane(t, s, at(0))
	r.Connect("n", "1", 1)
	eventually(t, "stored", func() bool { n, _ := s.get("n"); return n.Connected })
	s.mu.Lock()
	s.saved, s.seen = map[string]fleet.Node{}, nil
	s.mu.Unlock()
	eventually(t, "stored again", func() bool { n, _ := s.get("n"); return n.Connected })
}

// Many changes of versions alone are few writes.
func TestVersionsAloneAreSavedRarely(t *testing.T) {
	s := &store{saved: map[string]fleet.Node{}}
	r := fleet.NewRegistry(at(0))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, s, 20*time.Millisecond, 0, slog.New(slog.DiscardHandler)) }()
	n := r.Connect("n", "1", 1)
	eventually(t, "stored", func() bool { n, _ := s.get("n"); return n.Connected })
	_, before := s.get("n")
	began := time.Now()
	for version := int64(2); time.Since(began) < 400*time.Millisecond; version++ {
		n.Offered(version)
		n.Acknowledged(version, instant, false, nil, nil)
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	if _, after := s.get("n"); after-before > int(took/(200*time.Millisecond))+1 {
		t.Errorf("%d writes in %v", after-before, took)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What could not be saved is saved later, whatever kind of change it was, and also if the end comes in between.
func TestFailedSavesAreRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fleet.Session)
		saved  func(fleet.Node) bool
	}{
		"versions": {func(s *fleet.Session) { s.Offered(7) }, func(n fleet.Node) bool { return n.OfferedVersion == 7 }},
		"session":  {(*fleet.Session).Disconnect, func(n fleet.Node) bool { return !n.Connected }},
		"rejects": {func(s *fleet.Session) {
			s.Acknowledged(1, instant, false, nil, []fleet.Reject{{Key: key("a")}})
		}, func(n fleet.Node) bool { return len(n.Rejects) == 1 }},
	} {
		for _, ending := range []bool{false, true} {
			s := &store{saved: map[string]fleet.Node{}}
			r, stop := plane(t, s, at(0))
			session := r.Connect("n", "1", 1)
			eventually(t, "stored", func() bool { n, _ := s.get("n"); return n.Connected })
			s.mu.Lock()
			s.failures = 1
			s.mu.Unlock()
			c.change(session)
			eventually(t, name+": nothing failed", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.failures == 0 })
			if ending {
				stop()
				if n, _ := s.get("n"); !c.saved(n) {
					t.Errorf("%s: not saved at the end: %+v", name, n)
				}
				continue
			}
			eventually(t, name+": not saved", func() bool { n, _ := s.get("n"); return c.saved(n) })
		}
	}
}

// Whose session is over is what the store says; whose session goes on is not.
func TestStoredRowsOfOthers(t *testing.T) {
	s := &store{saved: map[string]fleet.Node{}}
	r, _ := plane(t, s, at(10))
	on, over := r.Connect("on", "1", 1), r.Connect("over", "1", 1)
	over.Disconnect()
	eventually(t, "stored", func() bool {
		a, _ := s.get("on")
		b, _ := s.get("over")
		return a.Connected && b.Owner != "" && !b.Connected
	})
	s.mu.Lock()
	for _, id := range []string{"on", "over"} {
		s.saved[id] = fleet.Node{ID: id, Owner: "other", SoftwareVersion: "2", ConnectedAt: instant}
	}
	s.mu.Unlock()
	eventually(t, "the session that is over", func() bool { n, _ := r.Node("over"); return n.SoftwareVersion == "2" })
	if n, _ := r.Node("on"); n.SoftwareVersion != "1" || !n.Connected {
		t.Errorf("the session that goes on: %+v", n)
	}
	on.Offered(3)
	if n, _ := r.Node("on"); n.OfferedVersion != 3 {
		t.Errorf("it is not heard any more: %+v", n)
	}
}

// A node that comes back with the version that the store says it had applied has applied it then.
func TestWhenAVersionWasApplied(t *testing.T) {
	for held, want := range map[int64]time.Time{5: instant, 6: instant.Add(time.Minute)} {
		s := &store{saved: map[string]fleet.Node{"n": {ID: "n", AppliedVersion: 5, AppliedAt: instant}}}
		r := fleet.NewRegistry(at(60))
		r.Connect("n", "1", held)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx, s, time.Millisecond, 0, slog.New(slog.DiscardHandler)) }()
		eventually(t, "stored", func() bool { n, _ := s.get("n"); return n.Connected })
		if n, _ := r.Node("n"); !n.AppliedAt.Equal(want) {
			t.Errorf("version %d was applied at %v, want %v", held, n.AppliedAt, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A node that has been gone for long is forgotten by the store and by each control plane. One that connects again is known with all
// that it rejects.
func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	s := &store{saved: map[string]fleet.Node{
		"long":   {ID: "long", LastHeartbeatAt: at(-3600)(), Owner: "other"},
		"lately": {ID: "lately", LastHeartbeatAt: at(-60)(), Owner: "other"},
		"stays":  {ID: "stays", LastHeartbeatAt: at(-3600)(), Connected: true, Owner: "other"},
	}, seen: map[string]bool{"other": true}}
	// A control plane whose clock is behind forgets nothing before its time.
	behind, _ := plane(t, s, at(-7200))
	eventually(t, "all are known", func() bool { return len(behind.Nodes()) == 3 })
	old := behind.Connect("old", "1", 1)
	old.Acknowledged(2, instant, true, nil, []fleet.Reject{{Key: key("a"), Code: "X"}})
	old.Disconnect()
	eventually(t, "the store has it", func() bool { n, _ := s.get("old"); return n.ID == "old" && !n.Connected && len(n.Rejects) == 1 })
	a, stop := plane(t, s, at(0))
	eventually(t, "a hears of it", func() bool { return len(a.Nodes()) == 4 })
	stop()
	b, _ := forgetful(t, s, at(0), time.Minute)
	eventually(t, "what is gone is forgotten", func() bool {
		nodes := b.Nodes()
		return len(nodes) == 2 && nodes[0].ID == "lately" && nodes[1].ID == "stays"
	})
	if n, _ := s.get("old"); n.ID != "" {
		t.Error("the store has it still")
	}
	behind.Connect("old", "1", 2)
	eventually(t, "what it rejects is known again", func() bool { n, _ := s.get("old"); return n.Connected && len(n.Rejects) == 1 })
	old.Heartbeat()
}
