package snapshot_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/snapshot"
)

// world is a catalog of items that writes its own change log, as the database does.
type world struct {
	version int64
	items   map[string]catalog.Item
	log     []snapshot.Change
}

func newWorld() *world { return &world{version: 1, items: map[string]catalog.Item{}} }

func (w *world) write(sku string, remove bool) {
	old, existed := w.items[sku]
	if remove && !existed {
		return
	}
	w.version++
	w.log = append(w.log, snapshot.Change{
		Version: w.version, Key: catalog.Key{Kind: catalog.KindItem, Name: sku}, Previous: old.Version, Deleted: remove, CommittedAt: time.Unix(w.version, 0)})
	if remove {
		delete(w.items, sku)
	} else {
		w.items[sku] = catalog.Item{SKU: sku, Version: w.version}
	}
}

func (w *world) resources() []catalog.AnyResource {
	var all []catalog.AnyResource
	for _, i := range w.items {
		all = append(all, i)
	}
	return all
}

func (w *world) whole() snapshot.Whole {
	return snapshot.Whole{Version: w.version, Resources: w.resources(), Log: slices.Clone(w.log)}
}

func (w *world) since(version int64) snapshot.Step {
	step := snapshot.Step{Resources: map[catalog.Key]catalog.AnyResource{}}
	for _, c := range w.log {
		if c.Version <= version {
			continue
		}
		step.Log = append(step.Log, c)
		if i, ok := w.items[c.Key.Name]; ok {
			step.Resources[c.Key] = i
		}
	}
	return step
}

// node applies updates as a data plane does.
type node struct {
	held      snapshot.Held
	resources map[catalog.Key]int64
	// kept are the parts of an update that was not completed, and partial how far they reach.
	kept    []snapshot.Part
	partial *snapshot.Progress
}

func (n *node) start() snapshot.Start { return snapshot.Start{Held: n.held, Partial: n.partial} }

// receive takes the first parts of an update, or all.
func (n *node) receive(u *snapshot.Update, parts int) {
	if !u.Resumes {
		n.kept, n.partial = nil, nil
	}
	for _, part := range u.Parts()[:parts] {
		n.kept = append(n.kept, part)
		if part.Progress != nil {
			n.partial = part.Progress
		}
		if part.Last {
			n.apply(u)
		}
	}
}

func (n *node) apply(u *snapshot.Update) {
	if u.Authoritative || n.resources == nil {
		n.resources = map[catalog.Key]int64{}
	}
	for _, part := range n.kept {
		for _, e := range part.Entries {
			if e.Version == 0 {
				delete(n.resources, e.Key)
			} else {
				n.resources[e.Key] = e.Version
			}
		}
	}
	n.held, n.kept, n.partial = u.State, nil, nil
}

// Whatever happens, and wherever nodes come in, are cut off or come back, each ends with the catalog.
func TestNodesEndWithTheCatalog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		sku := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
		write := func() { w.write(sku.Draw(t, "sku"), rapid.IntRange(0, 2).Draw(t, "remove") == 0) }
		for range rapid.IntRange(0, 9).Draw(t, "before") {
			write()
		}
		p := snapshot.NewPublisher(snapshot.LargeEncoder{})
		p.Replace(w.whole())
		nodes := make([]node, 3)
		subscriptions := make([]*snapshot.Subscription, len(nodes))
		// cut ends the stream of a node within an update.
		cut := func(i int, u *snapshot.Update) {
			nodes[i].receive(u, rapid.IntRange(0, len(u.Parts())-1).Draw(t, "parts"))
			subscriptions[i].Close()
			subscriptions[i] = nil
		}
		subscribe := func(i int) *snapshot.Update {
			s, first, err := p.Subscribe(nodes[i].start())
			if err != nil {
				t.Fatal(err)
			}
			if first.Authoritative && nodes[i].held.Version != 0 {
				t.Fatalf("node at %+v got all", nodes[i].held)
			}
			subscriptions[i] = s
			return first
		}
		drain := func(i int) {
			for subscriptions[i] != nil {
				u := subscriptions[i].Next()
				if u == nil {
					return
				}
				nodes[i].receive(u, len(u.Parts()))
			}
		}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, len(nodes)-1).Draw(t, "node")
			switch rapid.IntRange(0, 6).Draw(t, "action") {
			case 0:
				write()
			case 1:
				if err := p.Advance(w.since(p.Stats().Version)); err != nil {
					t.Fatal(err)
				}
			case 2:
				if subscriptions[i] == nil {
					u := subscribe(i)
					nodes[i].receive(u, len(u.Parts()))
				}
			case 3:
				if subscriptions[i] == nil {
					cut(i, subscribe(i))
				}
			case 4:
				if subscriptions[i] != nil {
					if u := subscriptions[i].Next(); u != nil {
						cut(i, u)
					}
				}
			case 5:
				drain(i)
			case 6: // The control plane starts anew: all it knows is in the database.
				clear(subscriptions)
				p = snapshot.NewPublisher(snapshot.LargeEncoder{})
				p.Replace(w.whole())
			}
		}
		if err := p.Advance(w.since(p.Stats().Version)); err != nil {
			t.Fatal(err)
		}
		want := map[catalog.Key]int64{}
		for _, r := range w.resources() {
			want[r.Key()] = r.ResourceVersion()
		}
		for i := range nodes {
			if subscriptions[i] == nil {
				u := subscribe(i)
				nodes[i].receive(u, len(u.Parts()))
			}
			drain(i)
			if !maps.Equal(nodes[i].resources, want) {
				t.Fatalf("node %d has %v, want %v", i, nodes[i].resources, want)
			}
			if digest := snapshot.Digest(w.resources()); nodes[i].held.Digest != digest || nodes[i].held.Version != w.version {
				t.Fatalf("node %d holds %+v, want version %d, digest %x", i, nodes[i].held, w.version, digest)
			}
		}
	})
}

// A node that was cut off gets no part twice, unless something in it has changed.
func TestKeptPartsAreNotSentAgain(t *testing.T) {
	w := newWorld()
	for _, sku := range []string{"a", "b", "c", "d", "e", "f"} {
		w.write(sku, false)
	}
	p := snapshot.NewPublisher(snapshot.LargeEncoder{})
	p.Replace(w.whole())
	var n node
	names := func(u *snapshot.Update) (names string) {
		for _, part := range u.Parts() {
			for _, e := range part.Entries {
				names += e.Key.Name
			}
		}
		return names
	}
	subscribe := func(whole bool) *snapshot.Update {
		start := n.start()
		start.Whole = whole
		_, u, err := p.Subscribe(start)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	first := subscribe(false)
	n.receive(first, 3)
	rest := subscribe(false)
	if !rest.Resumes || !rest.Authoritative || names(rest) != "def" {
		t.Fatalf("%v sends %q", rest.Resumes, names(rest))
	}
	// What changes meanwhile comes again, and what is removed is said to be.
	w.write("b", false)
	w.write("a", true)
	w.write("e", true)
	if err := p.Advance(w.since(p.Stats().Version)); err != nil {
		t.Fatal(err)
	}
	again := subscribe(false)
	if names(again) != "abdf" || again.Parts()[0].Entries[0].Version != 0 {
		t.Fatalf("%q", names(again))
	}
	// As long as not all of that has come, only the first progress holds.
	n.receive(again, 1)
	if n.partial.Through.Name != "c" || n.partial.State != first.State && again.Parts()[0].Progress == nil {
		t.Fatalf("%+v", n.partial)
	}
	n.receive(again, len(again.Parts()))
	if len(n.resources) != 4 || n.held.Version != w.version {
		t.Fatalf("%+v", n)
	}
	// A delta is continued as well, but not as the whole state, nor the whole as a delta.
	for _, sku := range []string{"g", "h", "i"} {
		w.write(sku, false)
	}
	if err := p.Advance(w.since(p.Stats().Version)); err != nil {
		t.Fatal(err)
	}
	n.receive(subscribe(false), 2)
	if rest := subscribe(false); !rest.Resumes || rest.Authoritative || names(rest) != "i" {
		t.Errorf("%+v sends %q", rest, names(rest))
	}
	if all := subscribe(true); all.Resumes || !all.Authoritative || names(all) != "bcdfghi" {
		t.Errorf("%+v sends %q", all, names(all))
	}
	n.partial.State.Digest++
	if all := subscribe(false); all.Resumes || names(all) != "ghi" {
		t.Errorf("after an unknown state it sends %q", names(all))
	}
}

func TestDigestOfTheContract(t *testing.T) {
	// FNV-1a-64 of "item/mug@7", computed by the definition.
	var want uint64 = 14695981039346656037
	for _, b := range []byte("item/mug@7") {
		want = (want ^ uint64(b)) * 1099511628211
	}
	if got := snapshot.Digest([]catalog.AnyResource{catalog.Item{SKU: "mug", Version: 7}}); got != want {
		t.Errorf("%x, want %x", got, want)
	}
}

// A subscriber that takes nothing keeps nobody waiting, and later gets all as one update.
func TestSlowSubscriberBlocksNobody(t *testing.T) {
	w := newWorld()
	p := snapshot.NewPublisher(snapshot.LargeEncoder{})
	p.Replace(w.whole())
	slow, _, err := p.Subscribe(snapshot.Start{})
	if err != nil {
		t.Fatal(err)
	}
	quick, _, err := p.Subscribe(snapshot.Start{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		w.write(fmt.Sprint(n), false)
		if err := p.Advance(w.since(p.Stats().Version)); err != nil {
			t.Fatal(err)
		}
		<-quick.Wake()
		if u := quick.Next(); len(u.Entries) != 1 {
			t.Fatalf("the quick one got %d entries", len(u.Entries))
		}
	}
	if behind := p.Stats().Behind; behind != 200 {
		t.Errorf("the slow one is %d behind", behind)
	}
	if u := slow.Next(); len(u.Entries) != 200 || slow.Next() != nil {
		t.Errorf("the slow one got %d entries", len(u.Entries))
	}
	slow.Close()
	quick.Close()
	if s := p.Stats().Streams; s != 0 {
		t.Errorf("%d streams are left", s)
	}
}

func TestGapIsNotPassedOver(t *testing.T) {
	w := newWorld()
	p := snapshot.NewPublisher(snapshot.LargeEncoder{})
	if _, _, err := p.Subscribe(snapshot.Start{}); !errors.Is(err, snapshot.ErrNotReady) {
		t.Errorf("before the first state: %v", err)
	}
	p.Replace(w.whole())
	w.write("a", false)
	w.write("b", false)
	step := w.since(p.Stats().Version)
	step.Log = step.Log[1:]
	if err := p.Advance(step); err == nil {
		t.Error("a step with a gap was taken")
	}
	if v := p.Stats().Version; v != 1 {
		t.Errorf("version %d after a refused step", v)
	}
}
