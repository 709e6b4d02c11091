package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// sized makes resources whose encoding is as long as their price says, and says their version in it.
type sized struct{ LargeEncoder }

func (sized) Resource(r catalog.AnyResource) []byte {
	i, _ := r.(catalog.Item)
	return make([]byte, i.UnitPrice.Minor)
}

func item(sku string, version, size int64) catalog.Item {
	i := catalog.Item{SKU: sku, Version: version}
	i.UnitPrice.Minor = size
	return i
}

// first is the first update of a stream that holds nothing.
func first(t *testing.T, p *Publisher) *Update {
	t.Helper()
	s, u, err := p.Subscribe(Start{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return u
}

func sizes(u *Update) (entries []int) {
	for _, part := range u.Parts() {
		entries = append(entries, len(part.Entries))
	}
	return entries
}

// Parts are as large as a frame, and not larger, unless one resource alone is.
func TestPartsAreFull(t *testing.T) {
	for name, c := range map[string]struct {
		sizes []int64
		want  []int
	}{
		"small ones together":    {[]int64{1, 1, 1}, []int{3}},
		"just a frame":           {[]int64{partBytes - 1, 1, 1}, []int{2, 1}},
		"a byte more":            {[]int64{partBytes, 1}, []int{1, 1}},
		"one larger than that":   {[]int64{2 * partBytes, 1, 2 * partBytes}, []int{1, 1, 1}},
		"one that is all and it": {[]int64{2 * partBytes}, []int{1}},
	} {
		var all []catalog.AnyResource
		for n, size := range c.sizes {
			all = append(all, item(fmt.Sprint(n), 1, size))
		}
		p := NewPublisher(sized{})
		p.Replace(Whole{Version: 1, Resources: all})
		u := first(t, p)
		if got := sizes(u); !slices.Equal(got, c.want) || u.Sent() != len(c.sizes) {
			t.Errorf("%s: parts of %v, %d sent; want %v", name, got, u.Sent(), c.want)
		}
	}
}

// A removal is as long as the name in it.
func TestRemovalsFillParts(t *testing.T) {
	names := partBytes / 64
	step, resources := Step{}, []catalog.AnyResource{}
	for n := range names + 1 {
		i := item(fmt.Sprintf("%s%04d", strings.Repeat("s", 60), n), 1, 0)
		resources = append(resources, i)
		step.Log = append(step.Log, Change{Version: 2, Key: i.Key(), Previous: 1, Deleted: true})
	}
	p := NewPublisher(sized{})
	p.Replace(Whole{Version: 1, Resources: resources})
	s, _, err := p.Subscribe(Start{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Advance(step); err != nil {
		t.Fatal(err)
	}
	if got := sizes(s.Next()); !slices.Equal(got, []int{names, 1}) {
		t.Errorf("parts of %v", got)
	}
}

// An update tells in which version it names a resource, and which it does not name.
func TestVersionsOfAnUpdate(t *testing.T) {
	p := NewPublisher(sized{})
	p.Replace(Whole{Version: 7, Resources: []catalog.AnyResource{item("a", 5, 1), item("c", 7, 1)}})
	u := first(t, p)
	for name, want := range map[string]int64{"a": 5, "b": 0, "c": 7, "d": 0} {
		if version, ok := u.Version(catalog.Key{Kind: catalog.KindItem, Name: name}); version != want || ok != (want > 0) {
			t.Errorf("%s: %d, %t", name, version, ok)
		}
	}
	if u.Sent() != 2 {
		t.Errorf("%d are sent", u.Sent())
	}
}

// What changed in kept parts is sent before the rest, and moves the progress on only when all of it was sent.
func TestProgressWaitsForWhatChangedInKeptParts(t *testing.T) {
	var resources []catalog.AnyResource
	for n := range 6 {
		resources = append(resources, item(fmt.Sprint(n), 1, partBytes))
	}
	p := NewPublisher(sized{})
	p.Replace(Whole{Version: 1, Resources: resources})
	kept := first(t, p).Parts()[3].Progress
	step := Step{Resources: map[catalog.Key]catalog.AnyResource{}}
	for n := range 3 {
		i := item(fmt.Sprint(n), 2, partBytes)
		step.Log = append(step.Log, Change{Version: 2, Key: i.Key(), Previous: 1})
		step.Resources[i.Key()] = i
	}
	if err := p.Advance(step); err != nil {
		t.Fatal(err)
	}
	_, u, err := p.Subscribe(Start{Partial: kept})
	if err != nil || !u.Resumes {
		t.Fatalf("%+v, %v", u, err)
	}
	var through []string
	for _, part := range u.Parts() {
		name := ""
		if part.Progress != nil {
			name = part.Progress.Through.Name
		}
		through = append(through, name)
	}
	if !slices.Equal(through, []string{"", "", "3", "4", ""}) {
		t.Errorf("progress of the parts: %q", through)
	}
}

// A state that was read anew reaches the streams by itself, and as a difference, in order, to those that had the one before.
func TestAStateThatIsReadAnewIsADifference(t *testing.T) {
	p := NewPublisher(sized{})
	p.Replace(Whole{Version: 4, CommittedAt: time.Unix(4, 0), Resources: []catalog.AnyResource{item("a", 1, 1), item("b", 2, 1), item("d", 4, 1)}})
	s, _, err := p.Subscribe(Start{})
	if err != nil {
		t.Fatal(err)
	}
	// The content of b is the same in another version, d is gone, and c and e are new.
	changed := p.Replace(Whole{Version: 9, CommittedAt: time.Unix(9, 0), Resources: []catalog.AnyResource{item("e", 9, 1), item("a", 1, 1), item("c", 8, 1), item("b", 7, 1)}})
	select {
	case <-s.Wake():
	default:
		t.Error("the stream was not woken")
	}
	u := s.Next()
	var names []string
	for _, e := range u.Entries {
		names = append(names, fmt.Sprint(e.Key.Name, e.Version))
	}
	if u.Authoritative || !slices.Equal(names, []string{"b7", "c8", "d0", "e9"}) || len(changed) != 4 || !slices.IsSortedFunc(changed, compareKeys) {
		t.Errorf("authoritative %t, %v; changed %v", u.Authoritative, names, changed)
	}
	if s.Next() != nil {
		t.Error("there is another update")
	}
}

// A state that is read anew, and is the same, leaves the streams as they are.
func TestTheSameStateIsNoDifference(t *testing.T) {
	p := NewPublisher(sized{})
	whole := Whole{Version: 4, Resources: []catalog.AnyResource{item("a", 1, 1)}}
	p.Replace(whole)
	if changed := p.Replace(whole); len(changed) != 0 || len(p.deltas) != 0 {
		t.Errorf("%v changed, %d differences", changed, len(p.deltas))
	}
}

// The whole state is put together anew before the history would no longer lead on from it, however few resources change.
func TestTheWholeStateKeepsUpWithTheHistory(t *testing.T) {
	var resources []catalog.AnyResource
	for n := range 20 {
		resources = append(resources, item(fmt.Sprint(n), 1, 1))
	}
	p := NewPublisher(sized{})
	p.Replace(Whole{Version: 1, Resources: resources})
	step := Step{Resources: map[catalog.Key]catalog.AnyResource{resources[0].Key(): item("0", maxHistory/2+1, 1)}}
	previous := int64(1)
	for n := range int64(maxHistory / 2) {
		step.Log = append(step.Log, Change{Version: n + 2, Key: resources[0].Key(), Previous: previous})
		previous = n + 2
	}
	if err := p.Advance(step); err != nil {
		t.Fatal(err)
	}
	if u := first(t, p); u.State.Version != 1 {
		t.Errorf("the whole state is put together anew at %d of %d changes", p.changes, maxHistory/2)
	}
	next := Step{Log: []Change{{Version: previous + 1, Key: resources[0].Key(), Previous: previous}},
		Resources: map[catalog.Key]catalog.AnyResource{resources[0].Key(): item("0", previous+1, 1)}}
	if err := p.Advance(next); err != nil {
		t.Fatal(err)
	}
	if u := first(t, p); u.State.Version != previous+1 {
		t.Errorf("the whole state is still that of version %d", u.State.Version)
	}
}

// Only a node that holds more than the store is ahead of it.
func TestANodeAtTheNewestVersionIsNotAhead(t *testing.T) {
	p := NewPublisher(sized{})
	p.Replace(Whole{Version: 5})
	for held, want := range map[int64]int64{4: 0, 5: 0, 6: 6} {
		p.foremost = 0
		s, _, err := p.Subscribe(Start{Held: Held{Version: held}})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if ahead := p.ahead(); ahead != want {
			t.Errorf("a node at %d: %d", held, ahead)
		}
	}
}
