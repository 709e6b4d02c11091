package snapshot

import (
	"testing"
	"time"

	"hybrid/control-plane/internal/catalog"
)

func keysOf(n int) []catalog.Key {
	keys := make([]catalog.Key, n)
	for i := range keys {
		keys[i] = catalog.Key{Kind: catalog.KindItem, Name: string(rune('a' + i%26))}
	}
	return keys
}

// The history forgets its oldest states when it holds more than maxHistory changes, and never the newest one.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	known := func(version int64) bool {
		_, ok := h.changedSince(Held{Version: version, Digest: uint64(version)})
		return ok
	}
	h.append(pastState{version: 1, digest: 1})
	h.append(pastState{version: 2, digest: 2, keys: keysOf(maxHistory - 1)})
	h.append(pastState{version: 3, digest: 3, keys: keysOf(1)})
	if !known(1) || !known(2) || !known(3) || h.changes != maxHistory {
		t.Errorf("%d changes, %d states at the limit", h.changes, len(h.states))
	}
	h.append(pastState{version: 4, digest: 4, keys: keysOf(1)})
	if known(1) || known(2) || !known(3) || !known(4) || h.changes != 2 {
		t.Errorf("%d changes, %d states above the limit", h.changes, len(h.states))
	}
	h.append(pastState{version: 5, digest: 5, keys: keysOf(maxHistory + 1)})
	if known(4) || !known(5) || len(h.states) != 1 {
		t.Errorf("%d changes, %d states after a huge change", h.changes, len(h.states))
	}
	h.append(pastState{version: 6, digest: 6, keys: keysOf(1)})
	if known(5) || !known(6) || len(h.states) != 1 || h.changes != 1 {
		t.Errorf("%d changes, %d states after one was dropped", h.changes, len(h.states))
	}
	if _, ok := h.changedSince(Held{Version: 6, Digest: 5}); ok {
		t.Error("another digest is known")
	}
}

// A log of which one version has several changes leads back to the state before each version.
func TestHistoryFromALog(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a, b, c := catalog.Key{Kind: catalog.KindItem, Name: "a"}, catalog.Key{Kind: catalog.KindItem, Name: "b"}, catalog.Key{Kind: catalog.KindItem, Name: "c"}
	log := []Change{{2, a, 0, false, at}, {3, b, 0, false, at.Add(1)}, {3, c, 0, false, at.Add(1)}, {4, a, 2, true, at.Add(2)}}
	digests := map[int64]uint64{1: 0, 2: hash(a, 2), 3: hash(a, 2) + hash(b, 3) + hash(c, 3), 4: hash(b, 3) + hash(c, 3)}
	var h history
	h.rebuild(pastState{version: 4, digest: digests[4], committed: at.Add(2)}, log)
	for version, want := range map[int64]int{1: 3, 2: 3, 3: 1, 4: 0} {
		keys, ok := h.changedSince(Held{Version: version, Digest: digests[version]})
		if !ok || len(keys) != want {
			t.Errorf("since %d: %v, %v", version, keys, ok)
		}
	}
	if h.changes != 4 {
		t.Errorf("%d changes", h.changes)
	}
	for version, want := range map[int64]time.Time{0: at, 1: at, 2: at.Add(1), 3: at.Add(2), 4: {}, 5: {}} {
		if got := h.firstCommitAfter(version); !got.Equal(want) {
			t.Errorf("first commit after %d: %v, want %v", version, got, want)
		}
	}
}

func TestAgeOfWhatANodeHolds(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	key := catalog.Key{Kind: catalog.KindItem, Name: "a"}
	p := NewPublisher()
	if age := p.Age(0, at); age != 0 {
		t.Errorf("%v before the catalog is read", age)
	}
	p.Replace(Whole{Version: 1, CommittedAt: at})
	for n := range int64(2) {
		step := Step{Log: []Change{{Version: 2 + n, Key: key, CommittedAt: at.Add(time.Duration(n+1) * time.Second)}}}
		if err := p.Advance(step); err != nil {
			t.Fatal(err)
		}
	}
	now := at.Add(time.Minute)
	for version, want := range map[int64]time.Duration{0: 60 * time.Second, 1: 59 * time.Second, 2: 58 * time.Second, 3: 0, 9: 0} {
		if got := p.Age(version, now); got != want {
			t.Errorf("version %d is %v behind, want %v", version, got, want)
		}
	}
	if age := p.Age(2, at); age != 0 {
		t.Errorf("%v with a clock that is behind", age)
	}
}

// A node that holds nothing gets the whole state, even where the log goes back to nothing.
func TestNothingHeldIsNoState(t *testing.T) {
	p := NewPublisher()
	item := catalog.Item{SKU: "a", Version: 1}
	p.Replace(Whole{Version: 1, Resources: []catalog.AnyResource{item}, Log: []Change{{Version: 1, Key: item.Key()}}})
	s, err := p.Subscribe(Held{})
	if err != nil || !s.First.Authoritative || len(s.First.Upserts) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A step may not repeat the current version, nor leave one out; a queue that is not read is as deep as the updates in it.
func TestStepsAndQueues(t *testing.T) {
	key := catalog.Key{Kind: catalog.KindItem, Name: "a"}
	p := NewPublisher()
	p.Replace(Whole{Version: 5})
	first, err := p.Subscribe(Held{})
	if err != nil || !first.First.Authoritative {
		t.Fatalf("%+v, %v", first, err)
	}
	defer first.Close()
	for version, want := range map[int64]error{4: ErrGap, 5: ErrGap, 7: ErrGap} {
		if err := p.Advance(Step{Log: []Change{{Version: version, Key: key}}}); err != want {
			t.Errorf("a step to %d: %v", version, err)
		}
	}
	if err := p.Advance(Step{Log: []Change{{Version: 6, Key: key}, {Version: 6, Key: key}, {Version: 7, Key: key}}}); err != nil {
		t.Fatal(err)
	}
	if p.history.changes != 3 {
		t.Errorf("%d changes", p.history.changes)
	}
	second, err := p.Subscribe(Held{Version: 7, Digest: p.Stats().Digest})
	if err != nil || second.First.Authoritative {
		t.Fatalf("%+v, %v", second, err)
	}
	defer second.Close()
	if s := p.Stats(); s.Version != 7 || s.Queued != 1 || s.Streams != 2 {
		t.Errorf("%+v", s)
	}
	// The same state once more is no update.
	p.Replace(Whole{Version: 7})
	if s := p.Stats(); s.Queued != 1 {
		t.Errorf("%d updates queued after a replacement without a change", s.Queued)
	}
	for range queueLength {
		p.Replace(Whole{Version: p.Stats().Version + 1})
	}
	if s := p.Stats(); s.Streams != 1 || s.Overflows != 1 || s.Queued != queueLength {
		t.Errorf("%+v", s)
	}
}
