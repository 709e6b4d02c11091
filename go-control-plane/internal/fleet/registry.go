// Package fleet tracks which version of the catalog each data-plane node runs, since when, and which resources it rejects.
package fleet

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hybrid/control-plane/internal/backoff"
	"hybrid/control-plane/internal/catalog"
)

// Reject is a resource that a node did not apply, and the reason.
type Reject struct {
	Key catalog.Key
	// Version of the resource that was rejected.
	Version int64
	// Field is the invalid field, Code the machine-readable reason, Text the same for people.
	Field, Code, Text string
}

// Node is the state of one data-plane node.
type Node struct {
	ID              string
	SoftwareVersion string
	Connected       bool
	// ConnectedAt is the start of the current stream, or of the last one.
	ConnectedAt     time.Time
	LastHeartbeatAt time.Time
	// OfferedVersion is the newest version that was sent to the node, AppliedVersion the one that prices its quotes.
	OfferedVersion, AppliedVersion int64
	AppliedAt                      time.Time
	// Rejects are the current ones, ordered by key.
	Rejects []Reject
}

// Store persists nodes.
type Store interface {
	LoadNodes(ctx context.Context) ([]Node, error)
	SaveNodes(ctx context.Context, nodes []Node) error
}

// Registry is the state of the fleet in memory. All changes except heartbeats are saved to the store by Run.
type Registry struct {
	mu       sync.Mutex
	nodes    map[string]*Node
	sessions map[string]*Session
	dirty    map[string]struct{}
	wake     chan struct{}
	now      func() time.Time
}

// NewRegistry returns an empty registry with the clock now.
func NewRegistry(now func() time.Time) *Registry {
	return &Registry{nodes: map[string]*Node{}, sessions: map[string]*Session{}, dirty: map[string]struct{}{}, wake: make(chan struct{}, 1), now: now}
}

// Session is one stream of a node. After the node has reconnected, reports of its older sessions are ignored.
type Session struct {
	registry *Registry
	id       string
	replaced chan struct{}
}

// Connect starts a session.
func (r *Registry) Connect(id, softwareVersion string, heldVersion int64) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.sessions[id]; old != nil {
		close(old.replaced)
	}
	s := &Session{registry: r, id: id, replaced: make(chan struct{})}
	r.sessions[id] = s
	node := r.nodes[id]
	if node == nil {
		node = &Node{ID: id}
		r.nodes[id] = node
	}
	now := r.now()
	node.SoftwareVersion, node.Connected = softwareVersion, true
	node.ConnectedAt, node.LastHeartbeatAt = now, now
	if node.AppliedVersion != heldVersion {
		node.AppliedVersion, node.AppliedAt = heldVersion, now
	}
	r.touch(id)
	return s
}

// Replaced is closed when the node has reconnected.
func (s *Session) Replaced() <-chan struct{} { return s.replaced }

// Heartbeat records that the node is alive.
func (s *Session) Heartbeat() {
	s.do(func(n *Node) bool { n.LastHeartbeatAt = s.registry.now(); return false })
}

// Offered records that version was sent.
func (s *Session) Offered(version int64) {
	s.do(func(n *Node) bool { n.OfferedVersion = version; return true })
}

// Acknowledged records the answer to an update: version prices quotes since appliedAt. Of the named resources of the update,
// or of all if it was authoritative, the node rejects those in rejects.
func (s *Session) Acknowledged(version int64, appliedAt time.Time, authoritative bool, named []catalog.Key, rejects []Reject) {
	s.do(func(n *Node) bool {
		n.LastHeartbeatAt = s.registry.now()
		if n.AppliedVersion != version {
			n.AppliedVersion, n.AppliedAt = version, appliedAt
		}
		if len(n.Rejects) == 0 && len(rejects) == 0 {
			return true
		}
		answered := make(map[catalog.Key]struct{}, len(named)+len(rejects))
		for _, key := range named {
			answered[key] = struct{}{}
		}
		for _, reject := range rejects {
			answered[reject.Key] = struct{}{}
		}
		var kept []Reject
		if !authoritative {
			for _, reject := range n.Rejects {
				if _, ok := answered[reject.Key]; !ok {
					kept = append(kept, reject)
				}
			}
		}
		latest := map[catalog.Key]Reject{}
		for _, reject := range rejects {
			latest[reject.Key] = reject
		}
		for _, reject := range latest {
			kept = append(kept, reject)
		}
		slices.SortFunc(kept, func(a, b Reject) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
		n.Rejects = kept
		return true
	})
}

// Disconnect ends the session.
func (s *Session) Disconnect() {
	s.do(func(n *Node) bool { n.Connected = false; return true })
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	if s.registry.sessions[s.id] == s {
		delete(s.registry.sessions, s.id)
	}
}

func (s *Session) do(change func(*Node) (persist bool)) {
	r := s.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.id] == s && change(r.nodes[s.id]) {
		r.touch(s.id)
	}
}

func (r *Registry) touch(id string) {
	r.dirty[id] = struct{}{}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Nodes returns every node that was ever seen, ordered by id.
func (r *Registry) Nodes() []Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Node, 0, len(r.nodes))
	for _, n := range r.nodes {
		all = append(all, n.clone())
	}
	slices.SortFunc(all, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Node returns the node with this id.
func (r *Registry) Node(id string) (Node, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[id]
	if n == nil {
		return Node{}, false
	}
	return n.clone(), true
}

func (n *Node) clone() Node {
	c := *n
	c.Rejects = slices.Clone(n.Rejects)
	return c
}

// Run loads the nodes of the store, and then saves changes at most once per interval until ctx is done, and once more after
// that.
func (r *Registry) Run(ctx context.Context, store Store, interval time.Duration, log *slog.Logger) error {
	loading := backoff.Retry{Work: "fleet load", Log: log}
	for {
		known, err := store.LoadNodes(ctx)
		if err == nil {
			loading.Succeeded(ctx)
			r.adopt(known)
			break
		}
		if loading.Failed(ctx, err) != nil {
			return nil
		}
	}
	saving := backoff.Retry{Work: "fleet save", Log: log}
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			r.flush(last, store)
			return nil
		case <-r.wake:
		}
		if err := r.flush(ctx, store); err != nil {
			saving.Failed(ctx, err)
			continue
		}
		saving.Succeeded(ctx)
		// Changes within the interval are saved together.
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}

func (r *Registry) adopt(known []Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range known {
		if mine := r.nodes[n.ID]; mine != nil {
			if mine.Rejects == nil {
				mine.Rejects = n.Rejects
			}
			continue
		}
		if n.Connected {
			n.Connected = false
			r.touch(n.ID)
		}
		r.nodes[n.ID] = &n
	}
}

func (r *Registry) flush(ctx context.Context, store Store) error {
	r.mu.Lock()
	changed := make([]Node, 0, len(r.dirty))
	for id := range r.dirty {
		changed = append(changed, r.nodes[id].clone())
	}
	clear(r.dirty)
	r.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	err := store.SaveNodes(ctx, changed)
	if err != nil {
		r.mu.Lock()
		for _, n := range changed {
			r.touch(n.ID)
		}
		r.mu.Unlock()
	}
	return err
}
