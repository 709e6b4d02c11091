// Package backoff paces retries: exponential, with full jitter, so that what failed together does not return together.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff gives the waits between tries. Its zero value waits up to 100 ms at first and up to 5 s at last.
type Backoff struct {
	Base, Max time.Duration
	// bound of the next wait; zero before the first.
	bound time.Duration
}

// Next is the wait before the next try: anywhere from zero to a bound that doubles with each call up to Max.
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
	// Doubled without a wrap.
	b.bound = bound + min(bound, limit-bound)
	return rand.N(bound) + 1
}

// Reset begins anew, after a success.
func (b *Backoff) Reset() { b.bound = 0 }

// Wait sleeps for Next, or until ctx is done; then it gives ctx's error.
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
