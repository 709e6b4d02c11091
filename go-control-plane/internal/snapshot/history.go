package snapshot

import (
	"sort"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// maxHistory is how many changes a node may be behind and still receive a delta.
const maxHistory = 10_000

// history holds the recent states by version and digest, and the changes between them.
type history struct {
	// states is in order of version. Each has the keys that changed since the state before it.
	states []pastState
	// changes counts the keys in states.
	changes int
}

type pastState struct {
	version int64
	digest  uint64
	keys    []catalog.Key
	// committed is zero for the oldest state, of which it is not known.
	committed time.Time
}

// rebuild derives the states from the newest one by going back through the log.
func (h *history) rebuild(newest pastState, log []Change) {
	var backwards []pastState
	current, digest := newest, newest.digest
	for i := len(log) - 1; i >= 0; i-- {
		c := log[i]
		if c.Version < current.version {
			backwards = append(backwards, current)
			current = pastState{version: c.Version, digest: digest, committed: c.CommittedAt}
		}
		current.keys = append(current.keys, c.Key)
		digest -= c.difference()
	}
	backwards = append(backwards, current)
	if len(log) > 0 {
		// The state before the oldest change is known as well, but not the changes that led to it.
		backwards = append(backwards, pastState{version: log[0].Version - 1, digest: digest})
	}
	h.states, h.changes = nil, 0
	for i := len(backwards) - 1; i >= 0; i-- {
		h.append(backwards[i])
	}
}

func (h *history) append(state pastState) {
	h.states = append(h.states, state)
	h.changes += len(state.keys)
	// What is dropped is freed when append moves the rest to a new array.
	for h.changes > maxHistory && len(h.states) > 1 {
		h.changes -= len(h.states[0].keys)
		h.states[0] = pastState{}
		h.states = h.states[1:]
	}
}

// changedSince returns the keys that changed after the held state, up to and including version until. It is false if that state is
// unknown or later.
func (h *history) changedSince(held Held, until int64) (map[catalog.Key]struct{}, bool) {
	i := sort.Search(len(h.states), func(i int) bool { return h.states[i].version >= held.Version })
	if i == len(h.states) || h.states[i].version != held.Version || h.states[i].digest != held.Digest || held.Version > until {
		return nil, false
	}
	keys := map[catalog.Key]struct{}{}
	for _, state := range h.states[i+1:] {
		if state.version > until {
			break
		}
		for _, key := range state.keys {
			keys[key] = struct{}{}
		}
	}
	return keys, true
}

// firstCommitAfter returns when the oldest known state after version was committed; zero if there is none.
func (h *history) firstCommitAfter(version int64) time.Time {
	i := sort.Search(len(h.states), func(i int) bool { return h.states[i].version > version })
	for ; i < len(h.states); i++ {
		if !h.states[i].committed.IsZero() {
			return h.states[i].committed
		}
	}
	return time.Time{}
}
