//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/postgrestest"
	"hybrid/control-plane/internal/snapshot"
)

// What runs in the background gives up a server that stands still, although its callers set no limit.
func TestNothingWaitsForAServerThatStandsStill(t *testing.T) {
	t.Parallel()
	server, uri := postgrestest.Start(t)
	pool, err := postgres.Open(t.Context(), uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	// A connection that was used just now is not looked at before it is used again.
	warm := func() {
		t.Helper()
		var all []*pgxpool.Conn
		for range pool.Config().MaxConns {
			c, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
		}
		for _, c := range all {
			c.Release()
		}
	}
	warm()
	server.Pause(t)
	hung := time.Now()
	var wait sync.WaitGroup
	for what, work := range map[string]func(context.Context) error{
		"writable": func(ctx context.Context) error { return postgres.Writable(ctx, pool) },
		"catalog":  func(ctx context.Context) error { return second(postgres.Items(pool, pool, announce).Get(ctx, "mug")) },
		"outbox":   func(ctx context.Context) error { return second(postgres.NewOutbox(pool).Pending(ctx, 10)) },
		"positions": func(ctx context.Context) error {
			return second(postgres.NewLedger(pool, announce).Positions(ctx, "usage"))
		},
		"fleet": func(ctx context.Context) error {
			return second(postgres.NewFleetStore(pool).Load(ctx, "self", time.Time{}))
		},
		"snapshot": func(ctx context.Context) error {
			return second(postgres.NewSnapshotSource(pool, announce).Since(ctx, snapshot.Point{}))
		},
	} {
		wait.Go(func() {
			if err := work(t.Context()); !errors.Is(err, catalog.ErrUnavailable) || time.Since(hung) > 10*time.Second {
				t.Errorf("%s: %v after %v", what, err, time.Since(hung))
			}
		})
	}
	wait.Wait()
	server.Resume()
	if err := postgres.Writable(t.Context(), pool); err != nil {
		t.Errorf("after it: %v", err)
	}
}
