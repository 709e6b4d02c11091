package backoff_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hybrid/control-plane/internal/backoff"
)

func TestWaitsAreBoundedAndSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "base"))
		limit := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "max"))
		b := backoff.Backoff{Base: base, Max: limit}
		bound := base
		for range rapid.IntRange(1, 100).Draw(t, "tries") {
			if wait := b.Next(); wait <= 0 || wait > min(bound, limit) {
				t.Fatalf("waits %v, at most %v", wait, min(bound, limit))
			}
			if bound < limit {
				bound *= 2
			}
		}
		b.Reset()
		if wait := b.Next(); wait > min(base, limit) {
			t.Fatalf("waits %v after a success", wait)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := backoff.Backoff{Base: time.Hour, Max: time.Hour}
	if err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
