package fleet_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var instant = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func clock() time.Time { return instant }

func key(name string) catalog.Key { return catalog.Key{Kind: catalog.KindItem, Name: name} }

func TestRejectsStayUntilTheyAreAnswered(t *testing.T) {
	r := fleet.NewRegistry(clock)
	s := r.Connect("n", "1", 0)
	rejects := func() (names []string) {
		n, _ := r.Node("n")
		for _, reject := range n.Rejects {
			names = append(names, reject.Key.Name)
		}
		return names
	}
	s.Acknowledged(5, instant, true, nil, []fleet.Reject{{Key: key("a"), Code: "X"}, {Key: key("b"), Code: "X"}})
	s.Acknowledged(6, instant, false, []catalog.Key{key("c")}, nil)
	if got := rejects(); len(got) != 2 {
		t.Errorf("a delta without them left %v", got)
	}
	s.Acknowledged(7, instant, false, []catalog.Key{key("a")}, nil)
	if got := rejects(); len(got) != 1 || got[0] != "b" {
		t.Errorf("accepting a left %v", got)
	}
	s.Acknowledged(8, instant, true, nil, nil)
	if got := rejects(); len(got) != 0 {
		t.Errorf("a whole state left %v", got)
	}
}

func TestNewestSessionCounts(t *testing.T) {
	r := fleet.NewRegistry(clock)
	old := r.Connect("n", "1", 3)
	renewed := r.Connect("n", "2", 4)
	select {
	case <-old.Replaced():
	default:
		t.Error("the old session does not know")
	}
	old.Offered(99)
	old.Disconnect()
	n, ok := r.Node("n")
	if !ok || !n.Connected || n.SoftwareVersion != "2" || n.OfferedVersion == 99 || n.AppliedVersion != 4 {
		t.Errorf("%+v", n)
	}
	renewed.Disconnect()
	if n, _ := r.Node("n"); n.Connected {
		t.Error("connected after its session ended")
	}
}

// store is a store in memory that fails at first.
type store struct {
	mu       sync.Mutex
	failures int
	// loadFailures is how many attempts to load fail.
	loadFailures int
	saved        map[string]fleet.Node
	saves        int
	dead         map[string]bool
	seen         map[string]bool
}

func (s *store) Load(_ context.Context, self string, _ time.Time) (fleet.Loaded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loadFailures > 0 {
		s.loadFailures--
		return fleet.Loaded{}, errors.New("away")
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	loaded := fleet.Loaded{Alive: map[string]bool{}, Anew: !s.seen[self]}
	s.seen[self] = true
	for id := range s.seen {
		loaded.Alive[id] = !s.dead[id]
	}
	for _, n := range s.saved {
		loaded.Nodes = append(loaded.Nodes, n)
	}
	return loaded, nil
}

func (s *store) Save(_ context.Context, changes []fleet.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures > 0 {
		s.failures--
		return errors.New("away")
	}
	s.saves++
	for _, c := range changes {
		before, known := s.saved[c.ID]
		if known && before.Owner != c.Owner && before.ConnectedAt.After(c.ConnectedAt) {
			continue
		}
		if !c.Rejected {
			c.Rejects = before.Rejects
		}
		s.saved[c.ID] = c.Node
	}
	return nil
}

// Forget deletes the nodes that are not connected and were heard of this long before at(0).
func (s *store) Forget(_ context.Context, gone time.Duration) (map[string]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := map[string]bool{}
	for id, n := range s.saved {
		if n.Connected || instant.Sub(n.LastHeartbeatAt) <= gone {
			left[id] = true
		} else {
			delete(s.saved, id)
		}
	}
	return left, nil
}

func (s *store) get(id string) (fleet.Node, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved[id], s.saves
}

func TestChangesReachTheStore(t *testing.T) {
	r := fleet.NewRegistry(clock)
	s := &store{failures: 2, saved: map[string]fleet.Node{"old": {ID: "old", Connected: true, AppliedVersion: 9}}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, s, time.Millisecond, 0, slog.New(slog.DiscardHandler)) }()
	session := r.Connect("n", "1", 1)
	session.Offered(2)
	wait := func(what string, condition func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	wait("the node is not saved", func() bool { n, _ := s.get("n"); return n.OfferedVersion == 2 })
	wait("a node of before is not known as gone", func() bool { n, ok := r.Node("old"); return ok && n.AppliedVersion == 9 && !n.Connected })
	if n, _ := s.get("old"); !n.Connected {
		t.Error("the node of another was changed in the store")
	}

	// Heartbeats alone cost the store nothing.
	wait("the store is not at rest", func() bool {
		_, before := s.get("n")
		for range 100 {
			session.Heartbeat()
		}
		time.Sleep(5 * time.Millisecond)
		_, after := s.get("n")
		return before == after
	})
	session.Disconnect()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, _ := s.get("n"); n.Connected {
		t.Error("what changed last was not saved")
	}
}

// A reject stays under the newest reason; the instant of application changes only with the version.
func TestAcknowledgements(t *testing.T) {
	r := fleet.NewRegistry(clock)
	s := r.Connect("n", "1", 4)
	if n, _ := r.Node("n"); n.AppliedVersion != 4 || !n.AppliedAt.Equal(instant) {
		t.Errorf("after Connect: %+v", n)
	}
	s.Acknowledged(4, instant.Add(time.Hour), false, nil, nil)
	if n, _ := r.Node("n"); !n.AppliedAt.Equal(instant) {
		t.Errorf("the same version again: %+v", n)
	}
	s.Acknowledged(5, instant.Add(time.Hour), false, []catalog.Key{key("b"), key("a")},
		[]fleet.Reject{{Key: key("b"), Code: "OLD"}, {Key: key("a"), Code: "X"}, {Key: key("b"), Code: "NEW"}})
	n, _ := r.Node("n")
	if n.AppliedVersion != 5 || !n.AppliedAt.Equal(instant.Add(time.Hour)) || len(n.Rejects) != 2 || n.Rejects[0].Key != key("a") || n.Rejects[1].Code != "NEW" {
		t.Errorf("after rejects: %+v", n)
	}
	if _, ok := r.Node("other"); ok || len(r.Nodes()) != 1 {
		t.Error("a node that was never seen")
	}
	// A reconnect with what it holds keeps the instant, and its rejects.
	r.Connect("n", "2", 5)
	if n, _ := r.Node("n"); !n.AppliedAt.Equal(instant.Add(time.Hour)) || len(n.Rejects) != 2 {
		t.Errorf("after a reconnect: %+v", n)
	}
}

// The store is away when its nodes are to be loaded and when they are to be saved: one warning each, and nothing is lost.
func TestOutagesOfTheStore(t *testing.T) {
	var lines bytes.Buffer
	s := &store{failures: 3, loadFailures: 3, saved: map[string]fleet.Node{"old": {ID: "old", AppliedVersion: 9, Rejects: []fleet.Reject{{Key: key("a")}}}}}
	r := fleet.NewRegistry(clock)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, s, time.Millisecond, 0, slog.New(slog.NewTextHandler(&lines, nil))) }()
	session := r.Connect("old", "2", 9)
	session.Offered(10)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if n, _ := s.get("old"); n.OfferedVersion == 10 && len(n.Rejects) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not saved")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	text := lines.String()
	if strings.Count(text, "\n") != 4 || strings.Count(text, "fleet load failed") != 1 || strings.Count(text, "fleet save failed") != 1 || strings.Count(text, "recovered") != 2 {
		t.Errorf("lines:\n%s", text)
	}
}
