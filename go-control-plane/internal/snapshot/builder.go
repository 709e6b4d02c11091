package snapshot

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"hybrid/control-plane/internal/backoff"
)

// Source reads the catalog.
type Source interface {
	// Whole reads the whole catalog and the newest changes of the log, at most maxLog of them.
	Whole(ctx context.Context, maxLog int) (Whole, error)
	// Since reads the changes after the held state. The step is empty when there are none. It fails with ErrGap if the log does
	// not lead from there to the store's state. If the held state was lost, as by a restored dump, the store then has a new
	// version, above all that were lost.
	Since(ctx context.Context, held Point) (Step, error)
	// Surpass gives the store a version above this one, which a node holds, if the store never had it.
	Surpass(ctx context.Context, version int64) error
}

// Builder keeps a publisher at the newest committed state.
type Builder struct {
	Source    Source
	Publisher *Publisher
	// Wake receives a value after a commit. Poll is how often the source is read without one, in case it was lost.
	Wake <-chan struct{}
	Poll time.Duration
	// Healthy is called after each attempt to read: with nil when it succeeded, else with the reason.
	Healthy func(error)
	Log     *slog.Logger

	// surpassed is the largest version of a node that the store was compared with.
	surpassed int64
}

// Run reads until ctx is done. Failures are retried with backoff; nodes keep the state they have meanwhile.
func (b *Builder) Run(ctx context.Context) error {
	retry := backoff.Retry{Work: "catalog read", Log: b.Log}
	loaded := false
	ticker := time.NewTicker(b.Poll)
	defer ticker.Stop()
	for {
		if err := b.refresh(ctx, loaded); err != nil {
			if ctx.Err() == nil {
				b.Healthy(err)
			}
			if retry.Failed(ctx, err) != nil {
				return nil
			}
			continue
		}
		loaded = true
		retry.Succeeded(ctx)
		b.Healthy(nil)
		select {
		case <-ctx.Done():
			return nil
		case <-b.Wake:
		case <-ticker.C:
		}
	}
}

func (b *Builder) refresh(ctx context.Context, loaded bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if loaded {
		held := b.Publisher.Point()
		step, err := b.Source.Since(ctx, held)
		if err == nil {
			err = b.Publisher.Advance(step)
		}
		if err == nil {
			err = b.surpass(ctx)
		}
		if !errors.Is(err, ErrGap) {
			return err
		}
	}
	held := b.Publisher.Point()
	whole, err := b.Source.Whole(ctx, maxHistory)
	if err != nil {
		return err
	}
	b.Publisher.Replace(whole)
	if loaded {
		b.Log.WarnContext(ctx, "the change log does not lead to the state of the store; the whole catalog was read",
			"held_version", held.Version, "version", whole.Version)
	}
	return b.surpass(ctx)
}

// surpass compares the store with what nodes hold: one that is ahead of it has a state that the store has lost.
func (b *Builder) surpass(ctx context.Context) error {
	ahead := b.Publisher.ahead()
	if ahead <= b.surpassed {
		return nil
	}
	err := b.Source.Surpass(ctx, ahead)
	if err == nil {
		b.surpassed = ahead
	}
	return err
}
