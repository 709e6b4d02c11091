package fleet

import (
	"context"
	"log/slog"
	"time"

	"hybrid/control-plane/internal/backoff"
	"hybrid/control-plane/internal/catalog"
)

// Change is a node to be saved.
type Change struct {
	Node
	// Rejected is true if the rejects are to be replaced.
	Rejected bool
}

// Loaded is what a store has.
type Loaded struct {
	// Nodes that were saved since the requested time, or a little before.
	Nodes []Node
	// Alive has the control planes that have asked within a few seconds.
	Alive map[string]bool
	// At is the store's time of the answer.
	At time.Time
	// Anew is true if the store has not seen this control plane, or is in an older state than when it did last.
	Anew bool
}

// Store persists nodes for all control planes.
type Store interface {
	// Load reads the nodes that were saved since a time of the store's, or all if it is zero, and notes that the control plane
	// self is alive.
	Load(ctx context.Context, self string, since time.Time) (Loaded, error)
	// Save inserts or replaces these nodes, except those that another control plane has in a later session.
	Save(ctx context.Context, changes []Change) error
	// Forget deletes the nodes that have been gone for longer than this, and returns the ids of those that are left.
	Forget(ctx context.Context, gone time.Duration) (left map[string]bool, err error)
}

// Versions alone change with every catalog write for all nodes, so they are saved only every progressEvery intervals. The nodes
// of others are read every refreshEvery intervals, and nodes that are gone are looked for every forgetEvery.
const (
	progressEvery = 10
	refreshEvery  = 2
	forgetEvery   = 600
)

// Run loads the nodes of the store and saves changes, at most once per interval until ctx is done, and once more after that. It
// forgets nodes that have been gone for longer than gone, unless that is 0.
func (r *Registry) Run(ctx context.Context, store Store, interval, gone time.Duration, log *slog.Logger) error {
	loading, saving := backoff.Retry{Work: "fleet load", Log: log}, backoff.Retry{Work: "fleet save", Log: log}
	refresh := time.NewTicker(refreshEvery * interval)
	defer refresh.Stop()
	defer r.last(ctx, store)
	var since, progress, forgot time.Time
	for ctx.Err() == nil {
		loaded, err := store.Load(ctx, r.self, since)
		if err != nil {
			loading.Failed(ctx, err)
			continue
		}
		loading.Succeeded(ctx)
		since = loaded.At
		r.adopt(loaded)
		if gone > 0 && time.Since(forgot) >= forgetEvery*interval {
			forgot = time.Now()
			if err := r.forget(ctx, store, gone); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "forgetting nodes that are gone failed; the next attempt is in "+(forgetEvery*interval).String(), "error", err)
			}
		}
		whole := time.Since(progress) >= progressEvery*interval
		if err := r.flush(ctx, store, whole); err != nil {
			saving.Failed(ctx, err)
			continue
		}
		saving.Succeeded(ctx)
		if whole {
			progress = time.Now()
		}
		// Changes within the interval are saved together.
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-refresh.C:
		}
	}
	return nil
}

// last saves what changed before the end of ctx: that the nodes are not connected any more.
func (r *Registry) last(ctx context.Context, store Store) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	r.flush(last, store, true)
}

// adopt takes over what other control planes have stored of nodes that are not connected to this one.
func (r *Registry) adopt(loaded Loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alive = loaded.Alive
	for _, stored := range loaded.Nodes {
		n := r.nodes[stored.ID]
		switch {
		case n == nil:
			r.nodes[stored.ID] = &entry{Node: stored}
		case stored.Owner == r.self:
		case n.answered != nil:
			n.mergeStored(stored)
		case n.session == nil && !(n.unsaved.session && n.ConnectedAt.After(stored.ConnectedAt)):
			*n = entry{Node: stored}
		}
	}
	for _, n := range r.nodes {
		// What the store did not have, it will have by now.
		n.answered = nil
		if loaded.Anew && n.Owner == r.self {
			n.unsaved = unsaved{progress: true, session: true, rejects: true}
		}
	}
}

// mergeStored adds the stored rejects that the node has not answered in this session.
func (n *entry) mergeStored(stored Node) {
	if n.AppliedAt.Equal(n.ConnectedAt) && n.AppliedVersion == stored.AppliedVersion {
		n.AppliedAt = stored.AppliedAt
	}
	if n.answered.all {
		n.unsaved.rejects = true
		return
	}
	var old []Reject
	var known []catalog.Key
	for _, reject := range stored.Rejects {
		if _, answered := n.answered.keys[reject.Key]; !answered {
			old = append(old, reject)
		}
	}
	for key := range n.answered.keys {
		known = append(known, key)
	}
	var fresh []Reject
	for _, reject := range n.Rejects {
		if _, answered := n.answered.keys[reject.Key]; answered {
			fresh = append(fresh, reject)
		}
	}
	n.Rejects, n.unsaved.rejects = merge(old, known, fresh), true
}

// flush saves what has changed; of nodes whose versions alone have changed, only if progress is true.
func (r *Registry) flush(ctx context.Context, store Store, progress bool) error {
	r.mu.Lock()
	var changes []Change
	before := map[string]unsaved{}
	for id, n := range r.nodes {
		u := n.unsaved
		if n.answered != nil || !(u.session || u.rejects || (u.progress && progress)) {
			continue
		}
		before[id], n.unsaved = u, unsaved{}
		changes = append(changes, Change{Node: r.view(n), Rejected: u.rejects})
	}
	r.mu.Unlock()
	if len(changes) == 0 {
		return nil
	}
	err := store.Save(ctx, changes)
	if err != nil {
		r.mu.Lock()
		for id, u := range before {
			n := r.nodes[id]
			n.unsaved = unsaved{n.unsaved.progress || u.progress, n.unsaved.session || u.session, n.unsaved.rejects || u.rejects}
		}
		r.mu.Unlock()
	}
	return err
}

// forget forgets the nodes that have been gone for longer than this, here and in the store. A node that connects again is a new one.
func (r *Registry) forget(ctx context.Context, store Store, gone time.Duration) error {
	left, err := store.Forget(ctx, gone)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, n := range r.nodes {
		// What is not in the store may be new, or the store in an older state than before.
		if !left[id] && n.session == nil && n.unsaved == (unsaved{}) && r.now().Sub(n.LastHeartbeatAt) > gone {
			delete(r.nodes, id)
		}
	}
	return nil
}
