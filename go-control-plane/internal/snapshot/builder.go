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
	// Whole reads all of it, and at most maxLog changes of the log.
	Whole(ctx context.Context, maxLog int) (Whole, error)
	// Since reads what happened after version; an empty step when nothing did.
	Since(ctx context.Context, version int64) (Step, error)
}

// Builder keeps a publisher at the newest committed state.
type Builder struct {
	Source    Source
	Publisher *Publisher
	// Wake says that something was committed. Where it is lost, Poll finds it.
	Wake <-chan struct{}
	Poll time.Duration
	// Healthy is told when reading begins to work, with nil, and when it stops to, with the reason.
	Healthy func(error)
	Log     *slog.Logger
}

// Run reads until ctx is done. Failures are logged when they begin and when they end, and retried with backoff; nodes keep
// the state they have meanwhile.
func (b *Builder) Run(ctx context.Context) error {
	var pace backoff.Backoff
	failing := false
	loaded := false
	ticker := time.NewTicker(b.Poll)
	defer ticker.Stop()
	for {
		err := b.refresh(ctx, loaded)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !failing {
				b.Log.WarnContext(ctx, "cannot read the catalog; nodes keep what they have", "error", err)
				b.Healthy(err)
				failing = true
			}
			if pace.Wait(ctx) != nil {
				return nil
			}
			continue
		}
		if failing {
			b.Log.InfoContext(ctx, "the catalog can be read again")
			b.Healthy(nil)
			failing = false
			pace.Reset()
		}
		if !loaded {
			loaded = true
			b.Healthy(nil)
		}
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
