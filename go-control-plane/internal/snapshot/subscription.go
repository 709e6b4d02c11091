package snapshot

// Start is what a node says when it subscribes.
type Start struct {
	Held Held
	// Whole is true if the node wants the whole state, whatever it holds.
	Whole bool
	// Partial is how far the parts reach that the node has kept of an incomplete update; nil if it has none.
	Partial *Progress
}

// Subscription is the updates of one stream.
type Subscription struct {
	publisher *Publisher
	// taken is the state after the last update that was taken.
	taken Held
	// lost is true if what the stream has is no base for a delta.
	lost bool
	wake chan struct{}
}

// Subscribe starts a subscription. Its first update is the difference to what the node holds, if that is known, else the whole state;
// of either only what is left, where the node has kept parts of it.
func (p *Publisher) Subscribe(start Start) (*Subscription, *Update, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		return nil, nil, ErrNotReady
	}
	p.foremost = max(p.foremost, start.Held.Version)
	var first *Update
	if start.Held.Version > 0 && !start.Whole {
		first = p.delta(start.Held)
	}
	if first == nil {
		first = p.authoritative()
	}
	if rest := p.resume(first, start.Partial); rest != nil {
		first = rest
	}
	s := &Subscription{publisher: p, taken: first.State, wake: make(chan struct{}, 1)}
	p.subscriptions[s] = struct{}{}
	return s, first, nil
}

// Wake receives a value after the state has changed.
func (s *Subscription) Wake() <-chan struct{} { return s.wake }

// Next returns the next update. It is nil if the stream has taken the newest state.
func (s *Subscription) Next() *Update {
	p := s.publisher
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.taken == p.state && !s.lost {
		return nil
	}
	var u *Update
	if !s.lost {
		u = p.delta(s.taken)
	}
	if u == nil {
		u = p.authoritative()
	}
	s.taken, s.lost = u.State, false
	return u
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.publisher.mu.Lock()
	defer s.publisher.mu.Unlock()
	delete(s.publisher.subscriptions, s)
}
