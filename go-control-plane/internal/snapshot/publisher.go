package snapshot

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// queueLength is how many updates a stream may be behind before it is ended.
const queueLength = 64

// ErrNotReady says that the catalog was not read yet.
var ErrNotReady = errors.New("the catalog was not read yet")

// errGap says that a step does not follow on the state.
var errGap = errors.New("the change log has a gap")

// Publisher holds the newest state, and hands each step to every subscription. It never waits for one: who does not keep up
// loses the subscription.
type Publisher struct {
	mu        sync.Mutex
	ready     bool
	version   int64
	digest    uint64
	committed time.Time
	resources map[catalog.Key]catalog.AnyResource
	history   history
	// whole is the authoritative update of this version, made when first asked for and shared.
	whole         *Update
	subscriptions map[*Subscription]struct{}
	overflows     int64
}

// NewPublisher makes a publisher without a state.
func NewPublisher() *Publisher {
	return &Publisher{subscriptions: map[*Subscription]struct{}{}}
}

// Stats is a look at a publisher.
type Stats struct {
	Version   int64
	Digest    uint64
	Resources int
	Streams   int
	// Overflows counts the subscriptions that were ended because they did not keep up.
	Overflows int64
	Ready     bool
}

// Stats tells where the publisher stands.
func (p *Publisher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{p.version, p.digest, len(p.resources), len(p.subscriptions), p.overflows, p.ready}
}

// Subscription is the updates of one stream.
type Subscription struct {
	// First is the update to begin with.
	First *Update
	// updates is closed when the subscription overflowed.
	updates   chan *Update
	publisher *Publisher
}

// Updates gives the steps after First. It is closed when the subscriber did not keep up.
func (s *Subscription) Updates() <-chan *Update { return s.updates }

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.publisher.mu.Lock()
	defer s.publisher.mu.Unlock()
	delete(s.publisher.subscriptions, s)
}

// Subscribe begins a subscription for a node that holds `held`: with what differs, when that state is known, or else with
// the whole state.
func (p *Publisher) Subscribe(held Held) (*Subscription, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		return nil, ErrNotReady
	}
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

// Replace makes whole the state. Streams get what differs from the state before.
func (p *Publisher) Replace(whole Whole) {
	resources := make(map[catalog.Key]catalog.AnyResource, len(whole.Resources))
	for _, r := range whole.Resources {
		resources[r.Key()] = r
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := map[catalog.Key]struct{}{}
	for key, r := range resources {
		if old, ok := p.resources[key]; !ok || old.ResourceVersion() != r.ResourceVersion() {
			changed[key] = struct{}{}
		}
	}
	for key := range p.resources {
		if _, ok := resources[key]; !ok {
			changed[key] = struct{}{}
		}
	}
	moved := p.version != whole.Version
	p.resources, p.version, p.digest, p.committed = resources, whole.Version, Digest(whole.Resources), whole.CommittedAt
	p.history.rebuild(p.version, p.digest, whole.Log)
	p.whole = nil
	p.ready = true
	if moved || len(changed) > 0 {
		p.publish(p.update(changed))
	}
}

// Advance applies a step. It fails, and changes nothing, when the step does not follow on the state.
func (p *Publisher) Advance(step Step) error {
	if len(step.Log) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.version
	for _, c := range step.Log {
		if c.Version != last && c.Version != last+1 || c.Version == p.version {
			return errGap
		}
		last = c.Version
	}
	keys := map[catalog.Key]struct{}{}
	for _, c := range step.Log {
		keys[c.Key] = struct{}{}
		p.digest += c.difference()
		if c.Version != p.version {
			p.version, p.committed = c.Version, c.CommittedAt
			p.history.append(pastState{version: c.Version})
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
