package snapshot

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"hybrid/control-plane/internal/backoff"
	"hybrid/control-plane/internal/catalog"
)

// Source reads the catalog.
type Source interface {
	// Whole reads the whole catalog and the newest changes of the log, at most maxLog of them.
	Whole(ctx context.Context, maxLog int) (Whole, error)
	// Since reads the changes after the held state. The step is empty when there are none. It fails with ErrGap if the log does
	// not lead from there to the store's state, and with ErrLost if the held state was lost, as by a restored dump: the store then
	// has a new version, above all that were lost.
	Since(ctx context.Context, held Point) (Step, error)
	// Announce publishes the present state of these resources once more, for those who have heard of one that was lost.
	Announce(ctx context.Context, keys []catalog.Key) error
	// Surpass gives the store a version above this one, which a node holds, if the store never had it.
	Surpass(ctx context.Context, version int64) error
}

// announceSize is how many resources are announced in one transaction.
const announceSize = 1_000

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
	// lost is true if the held state was lost, and unannounced has what is to be announced after that.
	lost        bool
	unannounced []catalog.Key
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
			return b.settle(ctx)
		}
		if !errors.Is(err, ErrGap) {
			return err
		}
		b.lost = b.lost || errors.Is(err, ErrLost)
	}
	held := b.Publisher.Point()
	whole, err := b.Source.Whole(ctx, maxHistory)
	if err != nil {
		return err
	}
	changed := b.Publisher.Replace(whole)
	if b.lost {
		b.unannounced, b.lost = append(b.unannounced, changed...), false
	}
	if loaded {
		b.Log.WarnContext(ctx, "the change log does not lead to the state of the store; the whole catalog was read",
			"held_version", held.Version, "version", whole.Version)
	}
	return b.settle(ctx)
}

// settle does what follows from a state that was lost. It compares the store with what nodes hold, too: one that is ahead of it has
// such a state.
func (b *Builder) settle(ctx context.Context) error {
	for len(b.unannounced) > 0 {
		part := min(len(b.unannounced), announceSize)
		if err := b.Source.Announce(ctx, b.unannounced[:part]); err != nil {
			return err
		}
		b.unannounced = b.unannounced[part:]
	}
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
