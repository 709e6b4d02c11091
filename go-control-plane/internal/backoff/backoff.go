// Package backoff paces retries exponentially and with full jitter, so that clients that failed together do not retry
// together, and reports them without repeating itself.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff computes the waits between attempts. The zero value starts with a bound of 100 ms and ends with one of 5 s.
type Backoff struct {
	Base, Max time.Duration
	// bound is the upper bound of the next wait; zero before the first.
	bound time.Duration
}

// Next returns the wait before the next attempt: a random duration up to a bound that doubles with each call, until Max.
func (b *Backoff) Next() time.Duration {
	base, limit := b.Base, b.Max
	if base <= 0 {
		base = 100 * time.Millisecond
	}
	if limit <= 0 {
		limit = 5 * time.Second
	}
	bound := b.bound
	if bound == 0 {
		bound = base
	}
	bound = min(bound, limit)
	// Doubled without overflow.
	b.bound = bound + min(bound, limit-bound)
	return rand.N(bound) + 1
}

// Reset makes the next bound Base again.
func (b *Backoff) Reset() { b.bound = 0 }

// Wait sleeps for Next. It returns early, with the error of ctx, when ctx is done.
func (b *Backoff) Wait(ctx context.Context) error {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
