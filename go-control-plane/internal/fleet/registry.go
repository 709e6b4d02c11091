// Package fleet tracks which version of the catalog each data-plane node runs, since when, and which resources it rejects.
package fleet

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

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
	// Owner is the control plane that has the node's stream, or had the last one.
	Owner string
}

// Registry is the state of the fleet in memory: what this control plane hears of its own nodes, and what the others have stored
// of theirs. Run exchanges both with the store.
type Registry struct {
	mu    sync.Mutex
	self  string
	nodes map[string]*entry
	// alive has the other control planes that are alive.
	alive map[string]bool
	wake  chan struct{}
	now   func() time.Time
}

// entry is a node and how it stands to the store.
type entry struct {
	Node
	// session is the current one with this control plane, if any.
	session *Session
	// unsaved is what the store does not have yet.
	unsaved unsaved
	// answered is what the node said of its rejects in this session; it is nil once those of the store are merged.
	answered *answered
}

// unsaved is the parts of an entry that changed.
type unsaved struct {
	progress, session, rejects bool
}

// answered is the resources whose rejects are those of this session, not those in the store.
type answered struct {
	all  bool
	keys map[catalog.Key]struct{}
}

// NewRegistry returns an empty registry with the clock now. The clocks of control planes must agree as far as nodes move between
// them: of two sessions of a node the later one counts.
func NewRegistry(now func() time.Time) *Registry {
	return &Registry{self: uuid.NewString(), nodes: map[string]*entry{}, alive: map[string]bool{}, wake: make(chan struct{}, 1), now: now}
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
	node := r.nodes[id]
	if node == nil {
		node = &entry{Node: Node{ID: id}}
		r.nodes[id] = node
	}
	if node.session != nil {
		close(node.session.replaced)
	}
	if node.Owner != r.self {
		// The store may know of rejects that this control plane has not heard of.
		node.answered = &answered{keys: map[catalog.Key]struct{}{}}
	}
	s := &Session{registry: r, id: id, replaced: make(chan struct{})}
	now := r.now()
	node.session, node.Owner = s, r.self
	node.SoftwareVersion, node.Connected = softwareVersion, true
	node.ConnectedAt, node.LastHeartbeatAt = now, now
	if node.AppliedVersion != heldVersion {
		node.AppliedVersion, node.AppliedAt = heldVersion, now
	}
	node.unsaved.session = true
	// The store may have forgotten the node, and with it what it rejects.
	node.unsaved.rejects = node.unsaved.rejects || len(node.Rejects) > 0
	r.urge()
	return s
}

// Replaced is closed when the node has reconnected.
func (s *Session) Replaced() <-chan struct{} { return s.replaced }

// Heartbeat records that the node is alive.
func (s *Session) Heartbeat() {
	s.do(func(n *entry) { n.LastHeartbeatAt = s.registry.now() })
}

// Offered records that version was sent.
func (s *Session) Offered(version int64) {
	s.do(func(n *entry) { n.OfferedVersion, n.unsaved.progress = version, true })
}

// Acknowledged records the answer to an update: version prices quotes since appliedAt. Of the named resources of the update,
// or of all if it was authoritative, the node rejects those in rejects.
func (s *Session) Acknowledged(version int64, appliedAt time.Time, authoritative bool, named []catalog.Key, rejects []Reject) {
	s.do(func(n *entry) {
		n.LastHeartbeatAt = s.registry.now()
		n.unsaved.progress = true
		if n.AppliedVersion != version {
			n.AppliedVersion, n.AppliedAt = version, appliedAt
		}
		if n.answered != nil {
			n.answered.add(authoritative, named, rejects)
		}
		if len(n.Rejects) == 0 && len(rejects) == 0 {
			return
		}
		kept := n.Rejects
		if authoritative {
			kept = nil
		}
		if changed := merge(kept, named, rejects); !slices.Equal(changed, n.Rejects) {
			n.Rejects, n.unsaved.rejects = changed, true
			s.registry.urge()
		}
	})
}

func (a *answered) add(all bool, named []catalog.Key, rejects []Reject) {
	a.all = a.all || all
	for _, key := range named {
		a.keys[key] = struct{}{}
	}
	for _, reject := range rejects {
		a.keys[reject.Key] = struct{}{}
	}
}

// merge returns the rejects that are left when the named resources are answered with these rejects, ordered by key. It changes
// none of its arguments.
func merge(before []Reject, named []catalog.Key, rejects []Reject) []Reject {
	left := make(map[catalog.Key]Reject, len(before)+len(rejects))
	for _, reject := range before {
		left[reject.Key] = reject
	}
	for _, key := range named {
		delete(left, key)
	}
	for _, reject := range rejects {
		left[reject.Key] = reject
	}
	return slices.SortedFunc(maps.Values(left), func(a, b Reject) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
}

// Disconnect ends the session.
func (s *Session) Disconnect() {
	s.do(func(n *entry) {
		n.Connected, n.session, n.unsaved.session = false, nil, true
		s.registry.urge()
	})
}

func (s *Session) do(change func(*entry)) {
	r := s.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.nodes[s.id]; n != nil && n.session == s {
		change(n)
	}
}

// urge makes Run save soon. The caller holds the lock.
func (r *Registry) urge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Own reports whether this control plane has the node's stream, or had the last one.
func (r *Registry) Own(n Node) bool { return n.Owner == r.self }

// Nodes returns every node that any control plane knows, ordered by id.
func (r *Registry) Nodes() []Node { return slices.Collect(r.After("")) }

// After returns the nodes whose ids are greater than this one, ordered by id, each as it is when it is taken.
func (r *Registry) After(id string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		r.mu.Lock()
		var ids []string
		for known := range r.nodes {
			if known > id {
				ids = append(ids, known)
			}
		}
		r.mu.Unlock()
		slices.Sort(ids)
		for _, id := range ids {
			if n, ok := r.Node(id); ok && !yield(n) {
				return
			}
		}
	}
}

// Node returns the node with this id.
func (r *Registry) Node(id string) (Node, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[id]
	if n == nil {
		return Node{}, false
	}
	return r.view(n), true
}

// view returns a copy. A node whose control plane is gone is not connected, whatever was stored last.
func (r *Registry) view(n *entry) Node {
	c := n.Node
	c.Rejects = slices.Clone(n.Rejects)
	c.Connected = c.Connected && (c.Owner == r.self || r.alive[c.Owner])
	return c
}
