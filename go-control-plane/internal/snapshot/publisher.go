package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// wholeShare is the part of the catalog that must have changed before the whole of it is put together anew.
const wholeShare = 8

// ErrNotReady means that the catalog has not been read yet.
var ErrNotReady = errors.New("the catalog has not been read yet")

// ErrGap means that a step does not start at the current state.
var ErrGap = errors.New("the change log has a gap")

// ErrLost means that the store is not on the timeline of the current state any more. It is an ErrGap, too.
var ErrLost = fmt.Errorf("the state is not one of the store's: %w", ErrGap)

// Publisher holds the newest state, and gives each subscription what it lacks. It never waits for a subscriber: versions that one
// did not take in time are one update when it takes them.
type Publisher struct {
	encoder   Encoder
	mu        sync.Mutex
	ready     bool
	state     Held
	committed time.Time
	entries   map[catalog.Key]*Entry
	history   history
	// whole is the authoritative update to the state or to one before it, from which the history leads on. A node that needs the
	// whole gets it and the changes since, so that it need not be made anew for each change.
	whole *Update
	// changed are the keys that changed since whole, and changes is how often they did.
	changed map[catalog.Key]struct{}
	changes int
	// deltas are the updates from earlier states to the newest one, made on first use and shared.
	deltas        map[Held]*Update
	sequence      int64
	subscriptions map[*Subscription]struct{}
	// foremost is the largest version that a node said to hold.
	foremost int64
}

// NewPublisher returns a publisher without a state.
func NewPublisher(encoder Encoder) *Publisher {
	return &Publisher{encoder: encoder, subscriptions: map[*Subscription]struct{}{}}
}

// Stats describes a publisher at one moment.
type Stats struct {
	Version   int64
	Digest    uint64
	Resources int
	Streams   int
	// Behind is the number of versions that the slowest subscription has not taken.
	Behind int64
	Ready  bool
}

// Stats returns the current state in numbers.
func (p *Publisher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	var behind int64
	for s := range p.subscriptions {
		behind = max(behind, p.state.Version-s.taken.Version)
	}
	return Stats{p.state.Version, p.state.Digest, len(p.entries), len(p.subscriptions), behind, p.ready}
}

// Point returns the current state.
func (p *Publisher) Point() Point {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Point{p.state.Version, p.committed}
}

// ahead returns the largest version that a node said to hold if it is above the current one, else 0.
func (p *Publisher) ahead() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.foremost <= p.state.Version {
		return 0
	}
	return p.foremost
}

// Age returns for how long a node that holds version has been out of date: the time since the commit of the first version
// after it, as far back as the history goes; 0 if version is the newest.
func (p *Publisher) Age(version int64, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	committed := p.history.firstCommitAfter(version)
	if committed.IsZero() {
		return 0
	}
	return max(0, now.Sub(committed))
}

// Holds reports whether the newest state has this version of the resource.
func (p *Publisher) Holds(key catalog.Key, version int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[key]
	return e != nil && e.Version == version
}

// Replace sets the state, whatever it was before. Subscriptions that had taken the state before receive the difference by content.
// If a resource has another content in the same version, as after a restore, no stream can go on from what it has, and each gets
// the whole state. It returns the keys of what differs, in order.
func (p *Publisher) Replace(whole Whole) (changed []catalog.Key) {
	ordered := make([]*Entry, len(whole.Resources))
	entries := make(map[catalog.Key]*Entry, len(whole.Resources))
	for i, r := range whole.Resources {
		ordered[i] = p.encode(r)
		entries[r.Key()] = ordered[i]
	}
	sortEntries(ordered)
	state := Held{whole.Version, Digest(whole.Resources)}
	p.mu.Lock()
	defer p.mu.Unlock()
	differing := p.differing(ordered, entries)
	before, known := p.state, p.ready
	for key, e := range entries {
		if old := p.entries[key]; old != nil && old.Version == e.Version && !bytes.Equal(old.Encoded, e.Encoded) {
			for s := range p.subscriptions {
				s.lost = true
			}
			break
		}
	}
	p.entries, p.state, p.committed, p.ready = entries, state, whole.CommittedAt, true
	p.history.rebuild(pastState{version: state.Version, digest: state.Digest, committed: p.committed}, whole.Log)
	p.setWhole(ordered)
	if known && before != state {
		u := p.update(differing)
		u.LackedSince = p.committed
		p.deltas[before] = u
	}
	p.wake()
	for _, e := range differing {
		changed = append(changed, e.Key)
	}
	return changed
}

// differing returns the entries that are other than those of the present state, and the removals of those that are no more.
func (p *Publisher) differing(ordered []*Entry, entries map[catalog.Key]*Entry) []*Entry {
	var differing []*Entry
	for _, e := range ordered {
		if old := p.entries[e.Key]; old == nil || old.Version != e.Version || !bytes.Equal(old.Encoded, e.Encoded) {
			differing = append(differing, e)
		}
	}
	for key := range p.entries {
		if entries[key] == nil {
			differing = append(differing, &Entry{Key: key})
		}
	}
	sortEntries(differing)
	return differing
}

// Advance applies a step. It fails, without a change, if the step does not start at the current state.
func (p *Publisher) Advance(step Step) error {
	if len(step.Log) == 0 {
		return nil
	}
	next := make(map[catalog.Key]*Entry, len(step.Resources))
	for key, r := range step.Resources {
		next[key] = p.encode(r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.state.Version
	for _, c := range step.Log {
		if c.Version != last && c.Version != last+1 || c.Version == p.state.Version {
			return ErrGap
		}
		last = c.Version
	}
	for _, c := range step.Log {
		p.state.Digest += c.difference()
		if c.Version != p.state.Version {
			p.state.Version, p.committed = c.Version, c.CommittedAt
			p.history.append(pastState{version: c.Version, committed: c.CommittedAt})
		}
		newest := &p.history.states[len(p.history.states)-1]
		newest.digest = p.state.Digest
		newest.keys = append(newest.keys, c.Key)
		p.history.changes++
		p.changed[c.Key] = struct{}{}
		p.changes++
		if e := next[c.Key]; e != nil {
			p.entries[c.Key] = e
		} else {
			delete(p.entries, c.Key)
		}
	}
	p.deltas = map[Held]*Update{}
	if p.changes > maxHistory/2 {
		// Later the history might not lead on from it.
		p.renewWhole()
	}
	p.wake()
	return nil
}

func (p *Publisher) wake() {
	for s := range p.subscriptions {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (p *Publisher) encode(r catalog.AnyResource) *Entry {
	return &Entry{r.Key(), r.ResourceVersion(), p.encoder.Resource(r)}
}

// entry returns the newest state of a resource, or its removal.
func (p *Publisher) entry(key catalog.Key) *Entry {
	if e := p.entries[key]; e != nil {
		return e
	}
	return &Entry{Key: key}
}

// update returns an update that sends all that it names.
func (p *Publisher) update(entries []*Entry) *Update {
	p.sequence++
	return &Update{Nonce: fmt.Sprintf("%d-%d", p.state.Version, p.sequence), State: p.state, CommittedAt: p.committed,
		Entries: entries, encoder: p.encoder, segments: [][]*Entry{entries}, shared: true}
}

func (p *Publisher) setWhole(ordered []*Entry) {
	p.whole = p.update(ordered)
	p.whole.Authoritative = true
	p.changed, p.changes, p.deltas = map[catalog.Key]struct{}{}, 0, map[Held]*Update{}
}

// renewWhole makes whole the update to the newest state. Its cost is that of copying pointers.
func (p *Publisher) renewWhole() {
	changes := make([]*Entry, 0, len(p.changed))
	for key := range p.changed {
		changes = append(changes, p.entry(key))
	}
	sortEntries(changes)
	p.setWhole(merge(p.whole.Entries, changes))
}

// authoritative returns the whole state, or one from which the history leads on to it.
func (p *Publisher) authoritative() *Update {
	if len(p.changed)*wholeShare > len(p.whole.Entries) {
		p.renewWhole()
	}
	return p.whole
}

// delta returns the update from an earlier state to the newest one. It is nil if that state is not known.
func (p *Publisher) delta(from Held) *Update {
	if u := p.deltas[from]; u != nil {
		return u
	}
	keys, ok := p.history.changedSince(from, p.state.Version)
	if !ok {
		return nil
	}
	entries := make([]*Entry, 0, len(keys))
	for key := range keys {
		entries = append(entries, p.entry(key))
	}
	sortEntries(entries)
	u := p.update(entries)
	u.LackedSince = p.history.firstCommitAfter(from.Version)
	p.deltas[from] = u
	return u
}

// resume returns what is left of an update, for a node that has kept the parts that the progress stands for: what it names after
// them, and before that what has changed in them since. It is nil if that is not known.
func (p *Publisher) resume(u *Update, progress *Progress) *Update {
	if progress == nil || progress.Authoritative != u.Authoritative {
		return nil
	}
	keys, ok := p.history.changedSince(progress.State, u.State.Version)
	if !ok {
		return nil
	}
	var again []*Entry
	for key := range keys {
		if compareKeys(key, progress.Through) > 0 {
			continue
		}
		if e := find(u.Entries, key); e != nil {
			again = append(again, e)
		} else {
			again = append(again, &Entry{Key: key})
		}
	}
	sortEntries(again)
	p.sequence++
	return &Update{Nonce: fmt.Sprintf("%d-%d", u.State.Version, p.sequence), State: u.State, CommittedAt: u.CommittedAt,
		LackedSince: u.LackedSince, Authoritative: u.Authoritative, Resumes: true, Entries: u.Entries, encoder: p.encoder,
		segments: [][]*Entry{again, after(u.Entries, progress.Through)}, through: progress.Through}
}
