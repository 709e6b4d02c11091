package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"hybrid/control-plane/internal/backoff"
)

// Queue is the committed messages.
type Queue interface {
	// Pending returns the oldest unpublished messages in commit order, at most limit of them.
	Pending(ctx context.Context, limit int) ([]Pending, error)
	// Count returns the number of unpublished messages.
	Count(ctx context.Context) (int64, error)
	MarkPublished(ctx context.Context, ids []int64) error
	// Prune deletes rows that are no longer needed.
	Prune(ctx context.Context) error
}

// ErrFenced is the error of a publisher when another one has claimed its place.
var ErrFenced = errors.New("outbox: another publisher has taken over")

// Publisher sends messages. Of several that share a place, the one that has claimed it last is the only one that can.
type Publisher interface {
	// Claim takes the place: once it has returned, nothing that another one sends is published any more. It is needed before
	// the first call of Publish, and after each that has failed.
	Claim(ctx context.Context) error
	// Publish sends messages in order and returns the number of leading messages that are durable, and an error if that is
	// not all of them: ErrFenced if another one has claimed the place.
	Publish(ctx context.Context, messages []Message) (published int, err error)
}

const (
	batchSize     = 500
	pruneInterval = 10 * time.Minute
)

// Relay moves messages from the queue to the publisher. The caller ensures that only one runs at a time.
type Relay struct {
	Queue     Queue
	Publisher Publisher
	// Wake receives a value after a commit. Poll is how often the queue is read without one, in case it was lost.
	Wake <-chan struct{}
	Poll time.Duration
	// Healthy is called after each attempt: with nil when it succeeded, else with the reason.
	Healthy func(error)
	Log     *slog.Logger
	// Pace is the pace of retries; the zero value has the defaults of Backoff.
	Pace backoff.Backoff

	// claimed is whether the publisher's place is claimed. What is pending is read after that: another relay may have published
	// what was read before, and more.
	claimed bool

	lag       atomic.Int64
	published atomic.Int64
}

// Lag returns the number of unpublished messages when the queue was last read.
func (r *Relay) Lag() int64 { return r.lag.Load() }

// Published returns the number of messages that this relay has published.
func (r *Relay) Published() int64 { return r.published.Load() }

// Run relays until ctx is done. Failures are retried with backoff, and no message is skipped. It fails with ErrFenced when
// another relay has taken over.
func (r *Relay) Run(ctx context.Context) error {
	r.claimed = false
	retry := backoff.Retry{Work: "outbox relay", Log: r.Log, Backoff: r.Pace}
	ticker := time.NewTicker(r.Poll)
	defer ticker.Stop()
	var pruned time.Time
	for {
		if time.Since(pruned) > pruneInterval {
			if err := r.Queue.Prune(ctx); err != nil && ctx.Err() == nil {
				r.Log.WarnContext(ctx, "pruning the outbox failed; the next attempt is in "+pruneInterval.String(), "error", err)
			}
			pruned = time.Now()
		}
		more, err := r.step(ctx)
		if err != nil {
			if ctx.Err() == nil {
				r.Healthy(err)
			}
			if errors.Is(err, ErrFenced) {
				return err
			}
			if retry.Failed(ctx, err) != nil {
				return nil
			}
			continue
		}
		retry.Succeeded(ctx)
		r.Healthy(nil)
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.Wake:
		case <-ticker.C:
		}
	}
}

// step relays one batch and reports whether more messages may be waiting.
func (r *Relay) step(ctx context.Context) (more bool, err error) {
	if !r.claimed {
		if err := r.Publisher.Claim(ctx); err != nil {
			return false, err
		}
		r.claimed = true
	}
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
	r.claimed = publishErr == nil
	if published > 0 {
		// Published messages are marked even while the process shuts down; otherwise they would be published again.
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
