package snapshot

import (
	"sort"

	"hybrid/control-plane/internal/catalog"
)

// maxHistory bounds how many changes back a node may be and still get a delta.
const maxHistory = 10_000

// history knows the recent states by version and digest, and what changed after each.
type history struct {
	// states in order of version; each holds the keys that led to it from the state before.
	states []pastState
	// changes counts the keys in states.
	changes int
}

type pastState struct {
	version int64
	digest  uint64
	keys    []catalog.Key
}

// rebuild goes back from the newest state through the log.
func (h *history) rebuild(version int64, digest uint64, log []Change) {
	var backwards []pastState
	current := pastState{version: version, digest: digest}
	for i := len(log) - 1; i >= 0; i-- {
		c := log[i]
		if c.Version < current.version {
			backwards = append(backwards, current)
			current = pastState{version: c.Version, digest: digest}
		}
		current.keys = append(current.keys, c.Key)
		digest -= c.difference()
	}
	backwards = append(backwards, current)
	if len(log) > 0 {
		// The state before the oldest change is known as well; what led to it is not, and need not be.
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
	drop := 0
	for h.changes > maxHistory && drop < len(h.states)-1 {
		h.changes -= len(h.states[drop].keys)
		drop++
	}
	if drop > 0 {
		h.states = append([]pastState(nil), h.states[drop:]...)
	}
}

// changedSince gives the keys that changed after the held state. It is false when that state is not a known one.
func (h *history) changedSince(held Held) (map[catalog.Key]struct{}, bool) {
	i := sort.Search(len(h.states), func(i int) bool { return h.states[i].version >= held.Version })
	if i == len(h.states) || h.states[i].version != held.Version || h.states[i].digest != held.Digest {
		return nil, false
	}
	keys := map[catalog.Key]struct{}{}
	for _, state := range h.states[i+1:] {
		for _, key := range state.keys {
			keys[key] = struct{}{}
		}
	}
	return keys, true
}
