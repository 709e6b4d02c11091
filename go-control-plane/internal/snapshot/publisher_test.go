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
}

func (n *node) apply(u *snapshot.Update) {
	if u.Authoritative || n.resources == nil {
		n.resources = map[catalog.Key]int64{}
	}
	for _, r := range u.Upserts {
		n.resources[r.Key()] = r.ResourceVersion()
	}
	for _, key := range u.Removals {
		delete(n.resources, key)
	}
	n.held = snapshot.Held{Version: u.Version, Digest: u.Digest}
}

// Whatever happens, and wherever nodes come in or come back, each ends with the catalog.
func TestNodesEndWithTheCatalog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		sku := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		write := func() { w.write(sku.Draw(t, "sku"), rapid.Bool().Draw(t, "remove")) }
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			write()
		}
		p := snapshot.NewPublisher()
		p.Replace(w.whole())
		nodes := make([]node, 3)
		subscriptions := make([]*snapshot.Subscription, len(nodes))
		drain := func(i int) {
			for subscriptions[i] != nil {
				select {
				case u := <-subscriptions[i].Updates():
					nodes[i].apply(u)
				default:
					return
				}
			}
		}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			i := rapid.IntRange(0, len(nodes)-1).Draw(t, "node")
			switch rapid.IntRange(0, 4).Draw(t, "action") {
			case 0:
				write()
			case 1:
				if err := p.Advance(w.since(p.Stats().Version)); err != nil {
					t.Fatal(err)
				}
			case 2:
				if subscriptions[i] == nil {
					s, err := p.Subscribe(nodes[i].held)
					if err != nil {
						t.Fatal(err)
					}
					if s.First.Authoritative && nodes[i].held.Version != 0 {
						t.Fatalf("node at %+v got all", nodes[i].held)
					}
					nodes[i].apply(s.First)
					subscriptions[i] = s
				}
			case 3:
				drain(i)
				if subscriptions[i] != nil {
					subscriptions[i].Close()
					subscriptions[i] = nil
				}
			case 4: // The control plane starts anew: all it knows is in the database.
				for i, s := range subscriptions {
					drain(i)
					if s != nil {
						subscriptions[i] = nil
					}
				}
				p = snapshot.NewPublisher()
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
				s, err := p.Subscribe(nodes[i].held)
				if err != nil {
					t.Fatal(err)
				}
				nodes[i].apply(s.First)
				subscriptions[i] = s
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

func TestSlowSubscriberBlocksNobody(t *testing.T) {
	w := newWorld()
	p := snapshot.NewPublisher()
	p.Replace(w.whole())
	slow, err := p.Subscribe(snapshot.Held{})
	if err != nil {
		t.Fatal(err)
	}
	quick, err := p.Subscribe(snapshot.Held{})
	if err != nil {
		t.Fatal(err)
	}
	received := 0
	for n := range 200 {
		w.write(fmt.Sprint(n), false)
		if err := p.Advance(w.since(p.Stats().Version)); err != nil {
			t.Fatal(err)
		}
		<-quick.Updates()
		received++
	}
	stats := p.Stats()
	if received != 200 || stats.Overflows != 1 || stats.Streams != 1 {
		t.Errorf("quick one received %d; %+v", received, stats)
	}
	left := 0
	for range slow.Updates() {
		left++
	}
	if left == 0 || left >= 200 {
		t.Errorf("the slow one found %d updates before its end", left)
	}
	slow.Close()
	quick.Close()
	if s := p.Stats().Streams; s != 0 {
		t.Errorf("%d streams are left", s)
	}
}

func TestGapIsNotPassedOver(t *testing.T) {
	w := newWorld()
	p := snapshot.NewPublisher()
	if _, err := p.Subscribe(snapshot.Held{}); !errors.Is(err, snapshot.ErrNotReady) {
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
