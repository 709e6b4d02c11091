package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"hybrid/control-plane/internal/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a queue and a broker, both of which may fail at any call.
type world struct {
	mu        sync.Mutex
	fail      func() bool
	queue     []outbox.Pending
	published []string
}

var errAway = errors.New("away")

func (w *world) Pending(_ context.Context, limit int) ([]outbox.Pending, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail() {
		return nil, errAway
	}
	return append([]outbox.Pending(nil), w.queue[:min(limit, len(w.queue))]...), nil
}

func (w *world) Count(context.Context) (int64, error) { return int64(len(w.queue)), nil }

func (w *world) Prune(context.Context) error { return nil }

func (w *world) MarkPublished(_ context.Context, ids []int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail() {
		return errAway
	}
	marked := map[int64]bool{}
	for _, id := range ids {
		marked[id] = true
	}
	var left []outbox.Pending
	for _, p := range w.queue {
		if !marked[p.ID] {
			left = append(left, p)
		}
	}
	w.queue = left
	return nil
}

func (w *world) Claim(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail() {
		return errAway
	}
	return nil
}

func (w *world) Publish(_ context.Context, messages []outbox.Message) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, m := range messages {
		if w.fail() {
			return n, errAway
		}
		w.published = append(w.published, string(m.Key))
	}
	return len(messages), nil
}

func (w *world) empty() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0
}

// Whatever fails and when, all is published, first in order, and what is published again repeats in order.
func TestEverythingIsPublishedInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		failures := rapid.SliceOfN(rapid.Bool(), 0, 12).Draw(t, "failures")
		w := &world{fail: func() bool {
			if len(failures) == 0 {
				return false
			}
			failed := failures[0]
			failures = failures[1:]
			return failed
		}}
		count := rapid.IntRange(0, 6).Draw(t, "messages")
		for n := range count {
			w.queue = append(w.queue, outbox.Pending{ID: int64(n + 1), Message: outbox.Message{Key: []byte(fmt.Sprint(n))}})
		}
		relay := &outbox.Relay{Queue: w, Publisher: w, Wake: make(chan struct{}), Poll: time.Millisecond,
			Healthy: func(error) {}, Log: slog.New(slog.DiscardHandler)}
		relay.Pace.Base, relay.Pace.Max = time.Microsecond, time.Millisecond
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- relay.Run(ctx) }()
		for deadline := time.Now().Add(10 * time.Second); !w.empty(); time.Sleep(100 * time.Microsecond) {
			if time.Now().After(deadline) {
				t.Fatal("messages are left")
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		next := 0
		for n, key := range w.published {
			var k int
			fmt.Sscan(key, &k)
			if k > next || (n > 0 && k == next && fmt.Sprint(next-1) != w.published[n-1]) {
				t.Fatalf("published %v", w.published)
			}
			next = max(next, k+1)
		}
		if next != count {
			t.Fatalf("published %v of %d", w.published, count)
		}
	})
}

// steady is a queue of many messages, and a broker that takes some of them.
type steady struct {
	mu      sync.Mutex
	queue   []outbox.Pending
	limits  []int
	accepts func(n int) (int, error)
	batches []int
	prunes  int
	claims  int
	// idle counts the calls that mark nothing.
	idle     int
	pruneErr error
}

func (s *steady) Pending(_ context.Context, limit int) ([]outbox.Pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = append(s.limits, limit)
	return append([]outbox.Pending(nil), s.queue[:min(limit, len(s.queue))]...), nil
}

func (s *steady) Count(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.queue)), nil
}

func (s *steady) Prune(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prunes++
	return s.pruneErr
}

func (s *steady) MarkPublished(ctx context.Context, ids []int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(ids) == 0 {
		s.idle++
	}
	for i, id := range ids {
		if s.queue[i].ID != id {
			return fmt.Errorf("%d is marked before %d", id, s.queue[i].ID)
		}
	}
	s.queue = s.queue[len(ids):]
	return nil
}

func (s *steady) Claim(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims++
	return nil
}

func (s *steady) Publish(_ context.Context, messages []outbox.Message) (int, error) {
	s.mu.Lock()
	s.batches = append(s.batches, len(messages))
	s.mu.Unlock()
	return s.accepts(len(messages))
}

func (s *steady) fill(count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range count {
		s.queue = append(s.queue, outbox.Pending{ID: int64(n + 1)})
	}
}

// relaying runs a relay whose poll never comes, so that only what it does by itself and what wakes it counts.
func relaying(t *testing.T, s *steady, log *slog.Logger) (relay *outbox.Relay, wake chan struct{}, stop func()) {
	t.Helper()
	wake = make(chan struct{})
	relay = &outbox.Relay{Queue: s, Publisher: s, Wake: wake, Poll: time.Hour, Healthy: func(error) {}, Log: log}
	relay.Pace.Base, relay.Pace.Max = time.Microsecond, time.Microsecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	return relay, wake, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A full batch is followed by the next at once; a short one is the last until something wakes the relay.
func TestFullBatchesFollowEachOther(t *testing.T) {
	s := &steady{accepts: func(n int) (int, error) { return n, nil }}
	s.fill(1_200)
	relay, wake, stop := relaying(t, s, slog.New(slog.DiscardHandler))
	defer stop()
	// The relay takes a wake-up only when it has nothing left to do.
	wake <- struct{}{}
	wake <- struct{}{}
	if relay.Lag() != 0 || relay.Published() != 1_200 {
		t.Errorf("lag %d, published %d", relay.Lag(), relay.Published())
	}
	s.fill(1)
	wake <- struct{}{}
	wake <- struct{}{}
	stop()
	if got := fmt.Sprint(s.batches); got != "[500 500 200 1]" || s.limits[0] != 500 {
		t.Errorf("batches %s, limits %v", got, s.limits)
	}
	if s.claims != 1 {
		t.Errorf("claimed %d times", s.claims)
	}
	if s.prunes != 1 {
		t.Errorf("pruned %d times at once", s.prunes)
	}
	if relay.Published() != 1_201 {
		t.Errorf("published %d", relay.Published())
	}
}

// What the broker took before it failed is marked, and is not sent again; the lag is what is left.
func TestPartOfABatchIsMarked(t *testing.T) {
	var lines lockedBuffer
	release := make(chan struct{})
	attempts := 0
	s := &steady{}
	s.accepts = func(n int) (int, error) {
		if attempts++; attempts == 1 {
			return 3, errAway
		}
		<-release
		if attempts < 5 {
			return 0, errAway
		}
		return n, nil
	}
	s.fill(500)
	relay, wake, stop := relaying(t, s, slog.New(slog.NewTextHandler(&lines, nil)))
	defer stop()
	for deadline := time.Now().Add(10 * time.Second); relay.Lag() != 497; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("lag %d", relay.Lag())
		}
	}
	if relay.Published() != 3 {
		t.Errorf("published %d", relay.Published())
	}
	close(release)
	wake <- struct{}{}
	stop()
	if got := fmt.Sprint(s.batches); got != "[500 497 497 497 497]" || relay.Published() != 500 || relay.Lag() != 0 {
		t.Errorf("batches %s, published %d, lag %d", got, relay.Published(), relay.Lag())
	}
	// Each failure is followed by a claim, and marks nothing.
	if s.claims != 5 || s.idle != 0 {
		t.Errorf("claimed %d times, marked nothing %d times", s.claims, s.idle)
	}
	if text := lines.String(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "outbox relay recovered") != 1 {
		t.Errorf("lines:\n%s", text)
	}
}

// A backlog beyond one batch is counted.
func TestLagOfABacklog(t *testing.T) {
	block := make(chan struct{})
	s := &steady{accepts: func(n int) (int, error) { <-block; return n, nil }}
	s.fill(700)
	relay, wake, stop := relaying(t, s, slog.New(slog.DiscardHandler))
	defer stop()
	for deadline := time.Now().Add(10 * time.Second); relay.Lag() != 700; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("lag %d", relay.Lag())
		}
	}
	close(block)
	wake <- struct{}{}
}

// What was published while the process began to end is marked all the same.
func TestEndMarksWhatWasPublished(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &steady{accepts: func(n int) (int, error) { cancel(); return n, nil }}
	s.fill(2)
	relay := &outbox.Relay{Queue: s, Publisher: s, Wake: make(chan struct{}), Poll: time.Hour, Healthy: func(err error) {
		if err != nil {
			t.Error(err)
		}
	}, Log: slog.New(slog.DiscardHandler)}
	if err := relay.Run(ctx); err != nil || len(s.queue) != 0 || relay.Published() != 2 || relay.Lag() != 0 {
		t.Errorf("%v, %d left, published %d, lag %d", err, len(s.queue), relay.Published(), relay.Lag())
	}
}

// A failure to prune is a warning and keeps nothing from being relayed.
func TestPruningMayFail(t *testing.T) {
	var lines lockedBuffer
	s := &steady{accepts: func(n int) (int, error) { return n, nil }, pruneErr: errAway}
	_, wake, stop := relaying(t, s, slog.New(slog.NewTextHandler(&lines, nil)))
	defer stop()
	for range 3 {
		wake <- struct{}{}
	}
	if text := lines.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "pruning the outbox failed") {
		t.Errorf("lines:\n%s", text)
	}
}

// A relay with nothing to do claims its place once.
func TestAnIdleRelayClaimsOnce(t *testing.T) {
	s := &steady{}
	_, wake, stop := relaying(t, s, slog.New(slog.DiscardHandler))
	defer stop()
	for range 3 {
		wake <- struct{}{}
	}
	stop()
	if s.claims != 1 || len(s.batches) != 0 {
		t.Errorf("claimed %d times, published %v", s.claims, s.batches)
	}
}

// The queue is pruned whether or not the relay keeps up, and whether or not the broker takes anything.
func TestPruningNeedsNoBroker(t *testing.T) {
	s := &steady{accepts: func(int) (int, error) { return 0, errAway }}
	s.fill(1)
	_, _, stop := relaying(t, s, slog.New(slog.DiscardHandler))
	defer stop()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		prunes, attempts := s.prunes, len(s.batches)
		s.mu.Unlock()
		if prunes == 1 && attempts > 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("pruned %d times in %d attempts", prunes, attempts)
		}
	}
}

// A relay whose place another one has taken ends: as one that goes on it would take the place back, and both would do so in turn.
func TestAFencedRelayEnds(t *testing.T) {
	s := &steady{accepts: func(int) (int, error) { return 0, fmt.Errorf("publish: %w", outbox.ErrFenced) }}
	s.fill(1)
	var healthy []error
	relay := &outbox.Relay{Queue: s, Publisher: s, Wake: make(chan struct{}), Poll: time.Hour, Log: slog.New(slog.DiscardHandler),
		Healthy: func(err error) { healthy = append(healthy, err) }}
	for term := range 2 {
		if err := relay.Run(t.Context()); !errors.Is(err, outbox.ErrFenced) || len(healthy) != term+1 || s.claims != term+1 {
			t.Errorf("%v, healthy %v, claimed %d times", err, healthy, s.claims)
		}
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
