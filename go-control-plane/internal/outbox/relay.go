package outbox

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"hybrid/control-plane/internal/backoff"
)

// Queue is the committed messages.
type Queue interface {
	// Pending gives the oldest unpublished messages in commit order.
	Pending(ctx context.Context, limit int) ([]Pending, error)
	// Count is how many are unpublished.
	Count(ctx context.Context) (int64, error)
	MarkPublished(ctx context.Context, ids []int64) error
	// Prune deletes what is needed no more.
	Prune(ctx context.Context) error
}

// Publisher sends messages.
type Publisher interface {
	// Publish sends messages in order and gives how many of the first are durable. An error says why it is not all of them.
	Publish(ctx context.Context, messages []Message) (published int, err error)
}

const (
	batchSize     = 500
	pruneInterval = 10 * time.Minute
)

// Relay moves messages from the queue to the publisher. One runs at a time; the caller sees to it.
type Relay struct {
	Queue     Queue
	Publisher Publisher
	// Wake says that something was committed. Where it is lost, Poll finds it.
	Wake <-chan struct{}
	Poll time.Duration
	// Healthy is told when relaying works, with nil, and when it begins to fail, with the reason.
	Healthy func(error)
	Log     *slog.Logger
	// Pace is that of retries; its zero value is the usual one.
	Pace backoff.Backoff

	lag       atomic.Int64
	published atomic.Int64
}

// Lag is how many committed messages were unpublished when the relay last looked.
func (r *Relay) Lag() int64 { return r.lag.Load() }

// Published counts the messages that this relay has published.
func (r *Relay) Published() int64 { return r.published.Load() }

// Run relays until ctx is done. Failures are retried with backoff; nothing is passed over.
func (r *Relay) Run(ctx context.Context) error {
	failing, healthy := false, false
	ticker := time.NewTicker(r.Poll)
	defer ticker.Stop()
	var pruned time.Time
	for {
		more, err := r.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !failing {
				r.Log.WarnContext(ctx, "the outbox cannot be relayed; it keeps what is committed", "error", err)
				r.Healthy(err)
				failing, healthy = true, false
			}
			if r.Pace.Wait(ctx) != nil {
				return nil
			}
			continue
		}
		if failing {
			r.Log.InfoContext(ctx, "the outbox is relayed again")
			failing = false
		}
		if !healthy {
			r.Healthy(nil)
			healthy = true
		}
		r.Pace.Reset()
		if more {
			continue
		}
		if time.Since(pruned) > pruneInterval {
			if err := r.Queue.Prune(ctx); err != nil && ctx.Err() == nil {
				r.Log.WarnContext(ctx, "cannot prune the outbox", "error", err)
			}
			pruned = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.Wake:
		case <-ticker.C:
		}
	}
}

// step relays one batch, and says whether more is waiting.
func (r *Relay) step(ctx context.Context) (more bool, err error) {
	pending, err := r.Queue.Pending(ctx, batchSize)
	if err != nil {
		return false, err
	}
	if len(pending) < batchSize {
		r.lag.Store(int64(len(pending)))
	} else if n, err := r.Queue.Count(ctx); err == nil {
		r.lag.Store(n)
	}
	if len(pending) == 0 {
		return false, nil
	}
	messages := make([]Message, len(pending))
	ids := make([]int64, len(pending))
	for i, p := range pending {
		messages[i], ids[i] = p.Message, p.ID
	}
	published, publishErr := r.Publisher.Publish(ctx, messages)
	if published > 0 {
		// What was published is marked even when the process is about to end; unmarked it would go out again.
		marking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := r.Queue.MarkPublished(marking, ids[:published]); err != nil {
			return false, err
		}
		r.published.Add(int64(published))
		r.lag.Add(int64(-published))
	}
	return len(pending) == batchSize, publishErr
}
