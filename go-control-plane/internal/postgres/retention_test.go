//go:build unix

package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/postgres"
)

// What is old goes, each table by its own rule; totals and offsets stay.
func TestRetention(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	items := postgres.Items(pool, pool, announce)
	old, kept := uuid.NewString(), uuid.NewString()
	cup := mug(1)
	cup.SKU = "cup"
	if err := errors.Join(second(items.Create(ctx, mug(1), old)), second(items.Create(ctx, cup, kept))); err != nil {
		t.Fatal(err)
	}
	book := postgres.NewLedger(pool, announce)
	if _, err := book.Apply(ctx, ledger.Batch{Topic: "usage", Next: map[int32]int64{0: 3}, Records: []ledger.Record{
		{Topic: "usage", Offset: 0, Window: window(1)}, {Topic: "usage", Offset: 1, Window: window(1)}, {Topic: "usage", Offset: 2, Window: window(1)}}}); err != nil {
		t.Fatal(err)
	}
	totals, _, err := book.Totals(ctx, ledger.Place{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, pool,
		`UPDATE idempotency_key SET created_at = now() - interval '25 hours' WHERE request_id = '`+old+`'`,
		`UPDATE ledger_entry SET booked_at = now() - interval '31 days' WHERE kafka_offset < 2`,
		`UPDATE usage_record SET booked_at = now() - interval '31 days' WHERE kafka_offset < 2`,
		`UPDATE outbox SET published_at = now() - interval '2 hours' WHERE outbox_id = 1`)
	tables := func(want map[string]int) {
		t.Helper()
		for table, n := range want {
			if got := count(t, pool, table); got != n {
				t.Errorf("%d rows in %s, want %d", got, table, n)
			}
		}
	}
	if err := postgres.NewRetention(pool, 0).Prune(ctx); err != nil {
		t.Fatal(err)
	}
	tables(map[string]int{"idempotency_key": 1, "ledger_entry": 3, "usage_record": 3, "catalog_change": 2, "outbox": 2})
	if err := postgres.NewRetention(pool, 30*24*time.Hour).Prune(ctx); err != nil {
		t.Fatal(err)
	}
	tables(map[string]int{"ledger_entry": 1, "usage_record": 1})
	if after, _, err := book.Totals(ctx, ledger.Place{}, 0); err != nil || sums(after) != sums(totals) {
		t.Errorf("totals %s, %v; want %s", sums(after), err, sums(totals))
	}
	if next, err := book.Positions(ctx, "usage"); err != nil || next[0].Offset != 3 {
		t.Errorf("%v, %v", next, err)
	}
	if err := postgres.NewOutbox(pool).Prune(ctx); err != nil {
		t.Fatal(err)
	}
	tables(map[string]int{"outbox": 1})

	// One table that cannot be pruned does not keep the others.
	execute(t, pool, `UPDATE ledger_entry SET booked_at = now() - interval '31 days'`, `ALTER TABLE idempotency_key RENAME TO elsewhere`)
	if err := postgres.NewRetention(pool, 30*24*time.Hour).Prune(ctx); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	tables(map[string]int{"ledger_entry": 0})
}
