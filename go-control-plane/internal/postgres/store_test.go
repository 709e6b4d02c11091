//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/money"
	"hybrid/control-plane/internal/outbox"
	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/postgrestest"
	"hybrid/control-plane/internal/snapshot"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Run(m)) }

func announce(_ context.Context, key catalog.Key, r catalog.AnyResource, version int64, _ time.Time) (outbox.Message, error) {
	m := outbox.Message{Topic: "t", Key: []byte(key.String()), Headers: []outbox.Header{{Name: "v", Value: fmt.Sprint(version)}}}
	if r != nil {
		m.Value = []byte("x")
	}
	return m, nil
}

func open(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), postgrestest.Database(t), postgres.NewTracer())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

func mug(minor int64) catalog.Item {
	return catalog.Item{SKU: "mug", Name: "Mug", UnitPrice: money.Money{Currency: "EUR", Minor: minor}, TaxCategory: "standard"}
}

func half(budget int64) catalog.Promotion {
	return catalog.Promotion{ID: "half", Name: "Half", PercentOffPPM: 500_000, MinQuantity: 1, Budget: money.Money{Currency: "EUR", Minor: budget}}
}

func count(t *testing.T, pool *pgxpool.Pool, table string) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMigrationsRunOnce(t *testing.T) {
	uri := postgrestest.Database(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			pool, err := postgres.Open(t.Context(), uri, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer pool.Close()
			if err := postgres.Migrate(t.Context(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	pool, err := postgres.Open(t.Context(), uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if n := count(t, pool, "schema_migration"); n != 3 {
		t.Errorf("%d migrations are noted", n)
	}
}

func TestWritesAreVersioned(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	items := postgres.Items(pool, announce)
	created, err := items.Create(ctx, mug(100), "")
	if err != nil || created.Version != 2 {
		t.Fatalf("%+v, %v", created, err)
	}
	if _, err := items.Create(ctx, mug(100), ""); !errors.Is(err, catalog.ErrAlreadyExists) {
		t.Errorf("again: %v", err)
	}
	read, err := items.Get(ctx, "mug")
	if err != nil || read != created {
		t.Errorf("read %+v, %v; want %+v", read, err, created)
	}
	change := created
	change.UnitPrice.Minor = 200
	updated, err := items.Update(ctx, change)
	if err != nil || updated.Version != 3 || updated.UnitPrice.Minor != 200 {
		t.Fatalf("%+v, %v", updated, err)
	}
	if _, err := items.Update(ctx, change); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("from an old version: %v", err)
	}
	if err := items.Delete(ctx, "mug", created.Version); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("delete of an old version: %v", err)
	}
	if err := items.Delete(ctx, "mug", updated.Version); err != nil {
		t.Error(err)
	}
	for _, err := range []error{items.Delete(ctx, "mug", 3), second(items.Get(ctx, "mug")), second(items.Update(ctx, updated))} {
		if !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("after delete: %v", err)
		}
	}
	// Failed writes left nothing.
	if changes, messages := count(t, pool, "catalog_change"), count(t, pool, "outbox"); changes != 3 || messages != 3 {
		t.Errorf("%d changes, %d messages; want 3 each", changes, messages)
	}
	pending, err := postgres.NewOutbox(pool).Pending(ctx, 10)
	if err != nil || len(pending) != 3 || pending[2].Value != nil || string(pending[2].Key) != "item/mug" {
		t.Errorf("pending: %v, %v", pending, err)
	}
}

func second[A any](_ A, err error) error { return err }

func TestCreateIsRepeatable(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	items := postgres.Items(pool, announce)
	id := uuid.NewString()
	// A failed create leaves no trace of its id.
	if _, err := items.Create(ctx, mug(1), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := items.Create(ctx, mug(1), id); !errors.Is(err, catalog.ErrAlreadyExists) {
		t.Fatal(err)
	}
	cup := mug(7)
	cup.SKU = "cup"
	first, err := items.Create(ctx, cup, id)
	if err != nil {
		t.Fatal(err)
	}
	again, err := items.Create(ctx, cup, id)
	if err != nil || again != first {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
	other := cup
	other.UnitPrice.Minor++
	if _, err := items.Create(ctx, other, id); !errors.Is(err, catalog.ErrRequestIDReused) {
		t.Errorf("other content: %v", err)
	}
	rules := postgres.TaxRules(pool, announce)
	if _, err := rules.Create(ctx, catalog.TaxRule{Jurisdiction: "DE", Category: "standard"}, id); !errors.Is(err, catalog.ErrRequestIDReused) {
		t.Errorf("other kind: %v", err)
	}
	if n := count(t, pool, "outbox"); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	if _, err := pool.Exec(ctx, "UPDATE idempotency_key SET created_at = now() - interval '25 hours'"); err != nil {
		t.Fatal(err)
	}
	if _, err := items.Create(ctx, cup, id); !errors.Is(err, catalog.ErrAlreadyExists) {
		t.Errorf("a day later: %v", err)
	}
	// Of many at once one creates.
	id = uuid.NewString()
	plate := cup
	plate.SKU = "plate"
	versions := make([]int64, 8)
	var all sync.WaitGroup
	for n := range versions {
		all.Go(func() {
			r, err := items.Create(ctx, plate, id)
			if err != nil {
				t.Error(err)
			}
			versions[n] = r.Version
		})
	}
	all.Wait()
	for _, v := range versions {
		if v != versions[0] {
			t.Errorf("versions %v", versions)
			break
		}
	}
}

func TestChangeLogLeadsToTheState(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	items, rules, promotions := postgres.Items(pool, announce), postgres.TaxRules(pool, announce), postgres.Promotions(pool, announce)
	source := postgres.NewSnapshotSource(pool)
	whole, err := source.Whole(ctx, 100)
	if err != nil || whole.Version != 1 || len(whole.Resources) != 0 {
		t.Fatalf("empty catalog: %+v, %v", whole, err)
	}
	p := snapshot.NewPublisher(contract.UpdateEncoder{})
	p.Replace(whole)
	i, err := items.Create(ctx, mug(1), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rules.Create(ctx, catalog.TaxRule{Jurisdiction: "DE", Category: "standard", RatePPM: 190_000}, ""); err != nil {
		t.Fatal(err)
	}
	promo := half(100)
	promo.SKUs = []string{"mug"}
	promo.StartsAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	written, err := promotions.Create(ctx, promo, "")
	if err != nil {
		t.Fatal(err)
	}
	if read, err := promotions.Get(ctx, "half"); err != nil || fmt.Sprint(read) != fmt.Sprint(written) {
		t.Errorf("read %v, %v; want %v", read, err, written)
	}
	if err := items.Delete(ctx, "mug", i.Version); err != nil {
		t.Fatal(err)
	}
	step, err := source.Since(ctx, 1)
	if err != nil || len(step.Log) != 4 || len(step.Resources) != 2 {
		t.Fatalf("step %+v, %v", step, err)
	}
	if err := p.Advance(step); err != nil {
		t.Fatal(err)
	}
	whole, err = source.Whole(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	if stats := p.Stats(); stats.Digest != snapshot.Digest(whole.Resources) || stats.Version != whole.Version {
		t.Errorf("steps lead to %+v, the whole is version %d, digest %x", stats, whole.Version, snapshot.Digest(whole.Resources))
	}
	fresh := snapshot.NewPublisher(contract.UpdateEncoder{})
	fresh.Replace(whole)
	if _, first, err := fresh.Subscribe(snapshot.Start{Held: snapshot.Held{Version: 1, Digest: 0}}); err != nil || first.Authoritative || len(first.Entries) != 3 {
		t.Errorf("from the empty catalog: %+v, %v", first, err)
	}
	if short, err := source.Whole(ctx, 2); err != nil || len(short.Log) != 1 {
		t.Errorf("a cut log holds %d changes, %v; want those of whole versions only", len(short.Log), err)
	}
}

func window(discount int64) ledger.Window {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return ledger.Window{Start: start, End: start.Add(10 * time.Second), Currency: "EUR", Jurisdiction: "DE", Quotes: 3,
		Lines: []ledger.Line{{SKU: "mug", PromotionID: "half", Lines: 3, Quantity: 3, DiscountMinor: discount, NetMinor: 100, TaxMinor: 19, GrossMinor: 119}}}
}

func TestUsageIsBookedOnce(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	if _, err := postgres.Promotions(pool, announce).Create(ctx, half(100), ""); err != nil {
		t.Fatal(err)
	}
	book := postgres.NewLedger(pool, announce)
	record := func(offset, discount int64) ledger.Record {
		return ledger.Record{Topic: "usage", Partition: 1, Offset: offset, Window: window(discount)}
	}
	batch := ledger.Batch{Topic: "usage", Records: []ledger.Record{record(4, 30), record(6, 30)}, Next: map[int32]int64{1: 7}}
	for n, want := range []ledger.Booked{{Records: 2, Entries: 2}, {}} {
		booked, err := book.Apply(ctx, batch)
		if err != nil || fmt.Sprint(booked) != fmt.Sprint(want) {
			t.Errorf("time %d: %+v, %v; want %+v", n+1, booked, err, want)
		}
	}
	next, err := book.NextOffsets(ctx, "usage")
	if err != nil || len(next) != 1 || next[1] != 7 {
		t.Errorf("next %v, %v", next, err)
	}
	promotion := func() catalog.Promotion {
		p, err := postgres.Promotions(pool, announce).Get(ctx, "half")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := promotion(); p.SpentMinor != 60 || p.Exhausted || p.Version != 2 {
		t.Errorf("below the budget: %+v", p)
	}
	booked, err := book.Apply(ctx, ledger.Batch{Topic: "usage", Records: []ledger.Record{record(7, 40)}, Next: map[int32]int64{1: 8}})
	if err != nil || len(booked.Exhausted) != 1 {
		t.Errorf("%+v, %v", booked, err)
	}
	if p := promotion(); p.SpentMinor != 100 || !p.Exhausted || p.Version != 3 {
		t.Errorf("at the budget: %+v", p)
	}
	if n := count(t, pool, "outbox"); n != 2 {
		t.Errorf("%d messages, want 2: the promotion and its exhaustion", n)
	}
	totals, err := book.Totals(ctx)
	want := ledger.Total{Currency: "EUR", Jurisdiction: "DE", Quotes: 9, DiscountMinor: 100, NetMinor: 300, TaxMinor: 57, GrossMinor: 357}
	if err != nil || len(totals) != 1 || totals[0] != want {
		t.Errorf("totals %+v, %v; want %+v", totals, err, want)
	}
	if page, err := book.Entries(ctx, 0, 2); err != nil || len(page) != 2 || page[0].Line != window(30).Lines[0] {
		t.Errorf("entries %+v, %v", page, err)
	}
	// When the log has lost its end, new records there do not run into what was booked, and what is left is not booked again.
	if err := book.Retire(ctx, "usage", 1, 6); err != nil {
		t.Fatal(err)
	}
	booked, err = book.Apply(ctx, ledger.Batch{Topic: "usage", Records: []ledger.Record{record(4, 1), record(6, 1)}, Next: map[int32]int64{1: 7}})
	if err != nil || booked.Records != 1 {
		t.Errorf("%+v, %v", booked, err)
	}
	if n := count(t, pool, "usage_record"); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
}

func TestTotalsOverflowIsAnError(t *testing.T) {
	pool := open(t)
	book := postgres.NewLedger(pool, announce)
	w := window(0)
	w.Lines[0] = ledger.Line{SKU: "mug", NetMinor: 1<<63 - 1, GrossMinor: 1<<63 - 1}
	batch := ledger.Batch{Topic: "usage", Next: map[int32]int64{0: 2}, Records: []ledger.Record{
		{Topic: "usage", Offset: 0, Window: w}, {Topic: "usage", Offset: 1, Window: w}}}
	if _, err := book.Apply(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if totals, err := book.Totals(t.Context()); !errors.Is(err, money.ErrOverflow) {
		t.Errorf("%+v, %v", totals, err)
	}
}

// Catalog writes and bookings of the same promotion at the same time neither deadlock nor lose.
func TestWritesAndBookingsMeet(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	promotions := postgres.Promotions(pool, announce)
	if _, err := promotions.Create(ctx, half(1<<40), ""); err != nil {
		t.Fatal(err)
	}
	book := postgres.NewLedger(pool, announce)
	const rounds = 50
	var both sync.WaitGroup
	both.Go(func() {
		for range rounds {
			p, err := promotions.Get(ctx, "half")
			if err == nil {
				_, err = promotions.Update(ctx, p)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	both.Go(func() {
		for n := range int64(rounds) {
			_, err := book.Apply(ctx, ledger.Batch{Topic: "usage", Next: map[int32]int64{0: n + 1},
				Records: []ledger.Record{{Topic: "usage", Offset: n, Window: window(2)}}})
			if err != nil {
				t.Error(err)
			}
		}
	})
	both.Wait()
	if p, err := promotions.Get(ctx, "half"); err != nil || p.SpentMinor != 2*rounds {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestFleetComesBack(t *testing.T) {
	pool := open(t)
	store := postgres.NewFleetStore(pool)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	nodes := []fleet.Node{
		{ID: "a", SoftwareVersion: "1", Connected: true, ConnectedAt: at, LastHeartbeatAt: at, OfferedVersion: 7, AppliedVersion: 6, AppliedAt: at,
			Rejects: []fleet.Reject{{Key: catalog.Key{Kind: catalog.KindItem, Name: "mug"}, Version: 7, Field: "name", Code: "ODD", Text: "odd"}}},
		{ID: "b", ConnectedAt: at, LastHeartbeatAt: at},
	}
	if err := store.SaveNodes(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	nodes[0].Rejects[0].Code = "ODDER"
	if err := store.SaveNodes(t.Context(), nodes[:1]); err != nil {
		t.Fatal(err)
	}
	read, err := store.LoadNodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range read {
		read[i].ConnectedAt, read[i].LastHeartbeatAt = read[i].ConnectedAt.UTC(), read[i].LastHeartbeatAt.UTC()
	}
	if fmt.Sprint(read) != fmt.Sprint(nodes) {
		t.Errorf("read %v\nwant %v", read, nodes)
	}
}

// One leads at a time; when the server kills its connection the work ends, and another takes over.
func TestDutyHasOneHolder(t *testing.T) {
	pool := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	began, ended := make(chan int, 10), make(chan int, 10)
	var leaders sync.WaitGroup
	for n := range 2 {
		leaders.Go(func() {
			postgres.Lead(ctx, pool, postgres.RelayDuty, log, func(ctx context.Context) error {
				began <- n
				<-ctx.Done()
				ended <- n
				return nil
			})
		})
	}
	first := <-began
	select {
	case other := <-began:
		t.Fatalf("%d and %d lead", first, other)
	case <-time.After(200 * time.Millisecond):
	}
	_, err := pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err != nil {
		t.Fatal(err)
	}
	if last := <-ended; last != first {
		t.Errorf("%d ended, %d led", last, first)
	}
	<-began
	cancel()
	leaders.Wait()
}
