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
	// Since reads the changes after version. The step is empty when there are none.
	Since(ctx context.Context, version int64) (Step, error)
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
		step, err := b.Source.Since(ctx, b.Publisher.Stats().Version)
		if err == nil {
			err = b.Publisher.Advance(step)
		}
		if !errors.Is(err, errGap) {
			return err
		}
	}
	whole, err := b.Source.Whole(ctx, maxHistory)
	if err != nil {
		return err
	}
	b.Publisher.Replace(whole)
	return nil
}
