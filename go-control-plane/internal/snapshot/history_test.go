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
		_, ok := h.changedSince(Held{Version: version, Digest: uint64(version)}, 99)
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
	if _, ok := h.changedSince(Held{Version: 6, Digest: 5}, 99); ok {
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
		keys, ok := h.changedSince(Held{Version: version, Digest: digests[version]}, 4)
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
	p := NewPublisher(LargeEncoder{})
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

// Changes up to a version are known only from an earlier state, and do not contain later ones.
func TestHistoryUntilAVersion(t *testing.T) {
	var h history
	a, b := catalog.Key{Kind: catalog.KindItem, Name: "a"}, catalog.Key{Kind: catalog.KindItem, Name: "b"}
	h.append(pastState{version: 1, digest: 1})
	h.append(pastState{version: 2, digest: 2, keys: []catalog.Key{a}})
	h.append(pastState{version: 3, digest: 3, keys: []catalog.Key{b}})
	for _, c := range []struct {
		from, until int64
		want        int
		known       bool
	}{{1, 3, 2, true}, {1, 2, 1, true}, {1, 1, 0, true}, {2, 3, 1, true}, {2, 1, 0, false}, {3, 2, 0, false}, {4, 4, 0, false}} {
		keys, known := h.changedSince(Held{Version: c.from, Digest: uint64(c.from)}, c.until)
		if known != c.known || len(keys) != c.want {
			t.Errorf("from %d until %d: %v, %v", c.from, c.until, keys, known)
		}
	}
}

// Dropping old states copies none of the others: the cost of a change does not grow with the history.
func TestHistoryDropsWithoutCopying(t *testing.T) {
	var h history
	for n := range int64(2 * maxHistory) {
		h.append(pastState{version: n, keys: keysOf(1)})
	}
	n, keys := int64(2*maxHistory), keysOf(1)
	bytes := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.append(pastState{version: n, keys: keys})
			n++
		}
	}).AllocedBytesPerOp()
	if bytes > 1_000 || len(h.states) != maxHistory {
		t.Errorf("%d bytes for each change, %d states", bytes, len(h.states))
	}
}

// A node that holds nothing gets the whole state, even where the log goes back to nothing.
func TestNothingHeldIsNoState(t *testing.T) {
	p := NewPublisher(LargeEncoder{})
	item := catalog.Item{SKU: "a", Version: 1}
	p.Replace(Whole{Version: 1, Resources: []catalog.AnyResource{item}, Log: []Change{{Version: 1, Key: item.Key()}}})
	_, first, err := p.Subscribe(Start{})
	if err != nil || !first.Authoritative || len(first.Entries) != 1 {
		t.Errorf("%+v, %v", first, err)
	}
}

// A step may not repeat the current version, nor leave one out; what a stream has not taken is one update when it takes it.
func TestStepsAndStreams(t *testing.T) {
	key := catalog.Key{Kind: catalog.KindItem, Name: "a"}
	p := NewPublisher(LargeEncoder{})
	p.Replace(Whole{Version: 5})
	slow, first, err := p.Subscribe(Start{})
	if err != nil || !first.Authoritative || first.State.Version != 5 {
		t.Fatalf("%+v, %v", first, err)
	}
	for version, want := range map[int64]error{4: ErrGap, 5: ErrGap, 7: ErrGap} {
		if err := p.Advance(Step{Log: []Change{{Version: version, Key: key}}}); err != want {
			t.Errorf("a step to %d: %v", version, err)
		}
	}
	if err := p.Advance(Step{}); err != nil || p.Stats().Version != 5 {
		t.Errorf("an empty step: %v, %+v", err, p.Stats())
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := p.Advance(Step{Log: []Change{{Version: 6, Key: key, CommittedAt: at}, {Version: 6, Key: key, CommittedAt: at}, {Version: 7, Key: key, CommittedAt: at.Add(1)}}}); err != nil {
		t.Fatal(err)
	}
	if p.history.changes != 3 {
		t.Errorf("%d changes", p.history.changes)
	}
	quick, second, err := p.Subscribe(Start{Held: Held{Version: 7, Digest: p.Stats().Digest}})
	if err != nil || second.Authoritative || len(second.Entries) != 0 || len(second.Parts()) != 1 {
		t.Fatalf("%+v, %v", second, err)
	}
	if s := p.Stats(); s.Version != 7 || s.Behind != 2 || s.Streams != 2 {
		t.Errorf("%+v", s)
	}
	if quick.Next() != nil {
		t.Error("there is an update to the newest state")
	}
	<-slow.Wake()
	if u := slow.Next(); u == nil || u.Authoritative || u.State.Version != 7 || len(u.Entries) != 1 || !u.LackedSince.Equal(at) {
		t.Errorf("%+v", u)
	}
	// The same state once more is no update.
	p.Replace(Whole{Version: 7, Log: []Change{{Version: 7, Key: key}}})
	if p.Stats().Behind != 0 {
		t.Errorf("%+v", p.Stats())
	}
	// A state to which the history does not lead is sent as a whole.
	p.Replace(Whole{Version: 9})
	if u := slow.Next(); u == nil || !u.Authoritative || u.State.Version != 9 {
		t.Errorf("%+v", u)
	}
	slow.Close()
	slow.Close()
	quick.Close()
	if s := p.Stats(); s.Streams != 0 {
		t.Errorf("%+v", s)
	}
}

// Streams that are equally far get the same update, encoded once, and the whole is not made anew for a small change.
func TestUpdatesAreShared(t *testing.T) {
	p := NewPublisher(LargeEncoder{})
	whole := Whole{Version: 1}
	for n := range 2 * wholeShare {
		whole.Resources = append(whole.Resources, catalog.Item{SKU: string(rune('a' + n)), Version: 1})
	}
	p.Replace(whole)
	one, first, _ := p.Subscribe(Start{})
	other, second, _ := p.Subscribe(Start{})
	if first != second || &first.Message(0)[0] != &second.Message(0)[0] {
		t.Error("the whole was made twice")
	}
	change := func(version int64, sku string) {
		item := catalog.Item{SKU: sku, Version: version}
		err := p.Advance(Step{Log: []Change{{Version: version, Key: item.Key(), Previous: 1}}, Resources: map[catalog.Key]catalog.AnyResource{item.Key(): item}})
		if err != nil {
			t.Fatal(err)
		}
	}
	change(2, "a")
	change(3, "b")
	if one.Next() != other.Next() {
		t.Error("the delta was made twice")
	}
	third, again, _ := p.Subscribe(Start{})
	if again != first {
		t.Error("two changes made a new whole")
	}
	if u := third.Next(); u == nil || len(u.Entries) != 2 || u.State.Version != 3 {
		t.Errorf("%+v after the older whole", u)
	}
	change(4, "c")
	if _, again, _ := p.Subscribe(Start{}); again == first || again.State.Version != 4 || len(again.Entries) != len(whole.Resources) {
		t.Errorf("%+v", again)
	}
	// The history leads on from the whole, however often one resource changes.
	for version := range int64(maxHistory) {
		change(version+5, "a")
	}
	late, old, _ := p.Subscribe(Start{})
	if u := late.Next(); u == nil || u.Authoritative || old.State.Version >= u.State.Version {
		t.Errorf("%+v", u)
	}
}

func TestHoldsTheNewestVersionOnly(t *testing.T) {
	p := NewPublisher(LargeEncoder{})
	item := catalog.Item{SKU: "a", Version: 2}
	p.Replace(Whole{Version: 2, Resources: []catalog.AnyResource{item}})
	other := catalog.Key{Kind: catalog.KindItem, Name: "b"}
	if !p.Holds(item.Key(), 2) || p.Holds(item.Key(), 1) || p.Holds(other, 2) || p.Holds(other, 0) {
		t.Error("another version is held")
	}
}

// After a restore a version may have another content: then nothing that a stream has is a base for a delta.
func TestAnotherContentOfAVersionIsSentWhole(t *testing.T) {
	p := NewPublisher(nameEncoder{})
	key := catalog.Key{Kind: catalog.KindItem, Name: "a"}
	content := func(name string) []catalog.AnyResource {
		return []catalog.AnyResource{catalog.Item{SKU: key.Name, Name: name, Version: 2}}
	}
	log := []Change{{Version: 2, Key: key}}
	p.Replace(Whole{Version: 2, Resources: content("one"), Log: log})
	s, _, _ := p.Subscribe(Start{})
	p.Replace(Whole{Version: 2, Resources: content("one"), Log: log})
	if u := s.Next(); u != nil {
		t.Errorf("%+v follows the same state", u)
	}
	p.Replace(Whole{Version: 2, Resources: content("other"), Log: log})
	if u := s.Next(); u == nil || !u.Authoritative || string(u.Entries[0].Encoded) != "other" {
		t.Errorf("%+v", u)
	}
	if u := s.Next(); u != nil {
		t.Errorf("%+v follows the whole", u)
	}
	// A stream that has not taken the state before finds the rewritten version in no delta.
	other := catalog.Item{SKU: "b", Name: "b", Version: 3}
	if err := p.Advance(Step{Log: []Change{{Version: 3, Key: other.Key()}}, Resources: map[catalog.Key]catalog.AnyResource{other.Key(): other}}); err != nil {
		t.Fatal(err)
	}
	p.Replace(Whole{Version: 4, Resources: append(content("third"), other), Log: append(log, Change{Version: 3, Key: other.Key()}, Change{Version: 4, Key: other.Key(), Previous: 3})})
	if u := s.Next(); u == nil || !u.Authoritative || string(u.Entries[0].Encoded) != "third" {
		t.Errorf("%+v", u)
	}
}

type nameEncoder struct{ LargeEncoder }

func (nameEncoder) Resource(r catalog.AnyResource) []byte { return []byte(r.(catalog.Item).Name) }
