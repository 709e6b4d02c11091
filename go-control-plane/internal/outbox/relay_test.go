package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
