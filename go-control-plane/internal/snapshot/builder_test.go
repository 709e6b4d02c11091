package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"hybrid/control-plane/internal/catalog"
)

// restored is a source that loses the held state once, and fails to announce at first.
type restored struct {
	items     []catalog.AnyResource
	lost      bool
	failures  int
	announced []catalog.Key
	largest   int
	surpassed []int64
	done      func()
}

func (r *restored) Whole(context.Context, int) (Whole, error) {
	return Whole{Version: 100, Resources: r.items}, nil
}

func (r *restored) Since(context.Context, Point) (Step, error) {
	if r.lost {
		r.lost = false
		return Step{}, ErrLost
	}
	return Step{}, nil
}

func (r *restored) Announce(_ context.Context, keys []catalog.Key) error {
	if r.failures > 0 {
		r.failures--
		return errors.New("away")
	}
	r.announced, r.largest = append(r.announced, keys...), max(r.largest, len(keys))
	return nil
}

func (r *restored) Surpass(_ context.Context, version int64) error {
	r.surpassed = append(r.surpassed, version)
	r.done()
	return nil
}

// After a loss everything that differs is announced once, in parts, also if that fails at first; and a node that is ahead of the
// store is reported to it once.
func TestWhatWasLostIsAnnounced(t *testing.T) {
	p := NewPublisher(LargeEncoder{})
	var before []catalog.AnyResource
	for n := range 2*announceSize + 500 {
		before = append(before, catalog.Item{SKU: fmt.Sprint(n), Version: 5})
	}
	p.Replace(Whole{Version: 10, Resources: before})
	if _, _, err := p.Subscribe(Start{Held: Held{Version: 1_000}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	source := &restored{items: before[:1], lost: true, failures: 2, done: cancel}
	b := &Builder{Source: source, Publisher: p, Poll: time.Millisecond, Healthy: func(error) {}, Log: slog.New(slog.DiscardHandler)}
	loaded := b.refresh(ctx, true)
	for range 3 {
		if loaded == nil {
			break
		}
		loaded = b.refresh(ctx, true)
	}
	if loaded != nil || len(source.announced) != 2*announceSize+499 || source.largest != announceSize {
		t.Errorf("%d announced, %d at once, %v", len(source.announced), source.largest, loaded)
	}
	if err := b.refresh(ctx, true); err != nil || len(source.announced) != 2*announceSize+499 || fmt.Sprint(source.surpassed) != "[1000]" {
		t.Errorf("then %d announced, surpassed %v, %v", len(source.announced), source.surpassed, err)
	}
}

// away is a source of which one method fails.
type away struct {
	restored
	gap     bool
	surpass error
}

func (a *away) Since(context.Context, Point) (Step, error) {
	if a.gap {
		return Step{}, ErrGap
	}
	return Step{}, nil
}

func (a *away) Surpass(context.Context, int64) error { return a.surpass }

// Only a loss is announced: a gap of the log, also one after a loss, is not.
func TestAGapIsNotAnnounced(t *testing.T) {
	p := NewPublisher(LargeEncoder{})
	p.Replace(Whole{Version: 10})
	source := &away{restored: restored{items: []catalog.AnyResource{catalog.Item{SKU: "a", Version: 5}}}, gap: true}
	b := &Builder{Source: source, Publisher: p, Log: slog.New(slog.DiscardHandler), lost: true}
	if err := b.refresh(t.Context(), true); err != nil || len(source.announced) != 1 {
		t.Fatalf("after a loss: %v announced, %v", source.announced, err)
	}
	source.items = append(source.items, catalog.Item{SKU: "b", Version: 6})
	if err := b.refresh(t.Context(), true); err != nil || len(source.announced) != 1 {
		t.Errorf("after a gap: %v announced, %v", source.announced, err)
	}
}

// A store that cannot be told of a node that is ahead of it is told again.
func TestAStoreIsToldAgainOfANodeAhead(t *testing.T) {
	p := NewPublisher(LargeEncoder{})
	p.Replace(Whole{Version: 10})
	if _, _, err := p.Subscribe(Start{Held: Held{Version: 1_000}}); err != nil {
		t.Fatal(err)
	}
	source := &away{surpass: errors.New("away")}
	b := &Builder{Source: source, Publisher: p, Log: slog.New(slog.DiscardHandler)}
	for range 2 {
		if err := b.refresh(t.Context(), true); !errors.Is(err, source.surpass) {
			t.Errorf("%v", err)
		}
	}
	source.surpass = nil
	if err := b.refresh(t.Context(), true); err != nil || b.surpassed != 1_000 {
		t.Errorf("%v, surpassed %d", err, b.surpassed)
	}
}
