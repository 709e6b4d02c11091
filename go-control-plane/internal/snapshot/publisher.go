package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// queueLength is how many updates a stream may be behind before it is ended.
const queueLength = 64

// ErrNotReady means that the catalog has not been read yet.
var ErrNotReady = errors.New("the catalog has not been read yet")

// ErrGap means that a step does not start at the current state.
var ErrGap = errors.New("the change log has a gap")

// ErrLost means that the store is not on the timeline of the current state any more. It is an ErrGap, too.
var ErrLost = fmt.Errorf("the state is not one of the store's: %w", ErrGap)

// Publisher holds the newest state and sends each step to every subscription. It never waits for a subscriber: one that does
// not keep up loses its subscription.
type Publisher struct {
	mu        sync.Mutex
	ready     bool
	version   int64
	digest    uint64
	committed time.Time
	resources map[catalog.Key]catalog.AnyResource
	history   history
	// whole is the authoritative update to this version, made on first use and shared.
	whole         *Update
	subscriptions map[*Subscription]struct{}
	overflows     int64
	// foremost is the largest version that a node said to hold.
	foremost int64
}

// NewPublisher returns a publisher without a state.
func NewPublisher() *Publisher {
	return &Publisher{subscriptions: map[*Subscription]struct{}{}}
}

// Stats describes a publisher at one moment.
type Stats struct {
	Version   int64
	Digest    uint64
	Resources int
	Streams   int
	// Queued is the number of updates in the longest queue of a subscription.
	Queued int
	// Overflows is the number of subscriptions that were ended because they did not keep up.
	Overflows int64
	Ready     bool
}

// Stats returns the current state in numbers.
func (p *Publisher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	queued := 0
	for s := range p.subscriptions {
		queued = max(queued, len(s.updates))
	}
	return Stats{p.version, p.digest, len(p.resources), len(p.subscriptions), queued, p.overflows, p.ready}
}

// Point returns the current state.
func (p *Publisher) Point() Point {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Point{p.version, p.committed}
}

// ahead returns the largest version that a node said to hold if it is above the current one, else 0.
func (p *Publisher) ahead() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.foremost <= p.version {
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

// Subscription is the updates of one stream.
type Subscription struct {
	// First is the update to start with.
	First *Update
	// updates is closed when the queue overflows.
	updates   chan *Update
	publisher *Publisher
}

// Updates receives the steps after First. It is closed when the subscriber does not keep up.
func (s *Subscription) Updates() <-chan *Update { return s.updates }

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.publisher.mu.Lock()
	defer s.publisher.mu.Unlock()
	delete(s.publisher.subscriptions, s)
}

// Subscribe starts a subscription for a node that has the held state: with the difference if that state is known, else with
// the whole state.
func (p *Publisher) Subscribe(held Held) (*Subscription, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		return nil, ErrNotReady
	}
	p.foremost = max(p.foremost, held.Version)
	s := &Subscription{First: p.first(held), updates: make(chan *Update, queueLength), publisher: p}
	p.subscriptions[s] = struct{}{}
	return s, nil
}

func (p *Publisher) first(held Held) *Update {
	if held.Version > 0 {
		if keys, ok := p.history.changedSince(held); ok {
			return p.update(keys)
		}
	}
	if p.whole == nil {
		all := make([]catalog.AnyResource, 0, len(p.resources))
		for _, r := range p.resources {
			all = append(all, r)
		}
		slices.SortFunc(all, func(a, b catalog.AnyResource) int { return compareKeys(a.Key(), b.Key()) })
		p.whole = &Update{Version: p.version, Digest: p.digest, CommittedAt: p.committed, Authoritative: true, Upserts: all}
	}
	return p.whole
}

// update is the delta to the state, for a node that lacks the newest of these keys.
func (p *Publisher) update(keys map[catalog.Key]struct{}) *Update {
	u := &Update{Version: p.version, Digest: p.digest, CommittedAt: p.committed}
	for key := range keys {
		if r, ok := p.resources[key]; ok {
			u.Upserts = append(u.Upserts, r)
		} else {
			u.Removals = append(u.Removals, key)
		}
	}
	slices.SortFunc(u.Upserts, func(a, b catalog.AnyResource) int { return compareKeys(a.Key(), b.Key()) })
	slices.SortFunc(u.Removals, compareKeys)
	return u
}

// Replace sets the state. Subscriptions receive the difference to the state before, by content: after a restore, a version may
// have another content than the one that was sent. It returns the keys of what differs, in order.
func (p *Publisher) Replace(whole Whole) (changed []catalog.Key) {
	resources := make(map[catalog.Key]catalog.AnyResource, len(whole.Resources))
	for _, r := range whole.Resources {
		resources[r.Key()] = r
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	differing := map[catalog.Key]struct{}{}
	for key, r := range resources {
		if old, ok := p.resources[key]; !ok || !reflect.DeepEqual(old, r) {
			differing[key] = struct{}{}
		}
	}
	for key := range p.resources {
		if _, ok := resources[key]; !ok {
			differing[key] = struct{}{}
		}
	}
	moved := p.version != whole.Version
	p.resources, p.version, p.digest, p.committed = resources, whole.Version, Digest(whole.Resources), whole.CommittedAt
	p.history.rebuild(pastState{version: p.version, digest: p.digest, committed: p.committed}, whole.Log)
	p.whole = nil
	p.ready = true
	if moved || len(differing) > 0 {
		p.publish(p.update(differing))
	}
	return slices.SortedFunc(maps.Keys(differing), compareKeys)
}

// Advance applies a step. It fails, without a change, if the step does not start at the current state.
func (p *Publisher) Advance(step Step) error {
	if len(step.Log) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.version
	for _, c := range step.Log {
		if c.Version != last && c.Version != last+1 || c.Version == p.version {
			return ErrGap
		}
		last = c.Version
	}
	keys := map[catalog.Key]struct{}{}
	for _, c := range step.Log {
		keys[c.Key] = struct{}{}
		p.digest += c.difference()
		if c.Version != p.version {
			p.version, p.committed = c.Version, c.CommittedAt
			p.history.append(pastState{version: c.Version, committed: c.CommittedAt})
		}
		newest := &p.history.states[len(p.history.states)-1]
		newest.digest = p.digest
		newest.keys = append(newest.keys, c.Key)
		p.history.changes++
	}
	for key := range keys {
		if r, ok := step.Resources[key]; ok {
			p.resources[key] = r
		} else {
			delete(p.resources, key)
		}
	}
	p.whole = nil
	p.publish(p.update(keys))
	return nil
}

func (p *Publisher) publish(u *Update) {
	for s := range p.subscriptions {
		select {
		case s.updates <- u:
		default:
			delete(p.subscriptions, s)
			close(s.updates)
			p.overflows++
		}
	}
}

func compareKeys(a, b catalog.Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}
