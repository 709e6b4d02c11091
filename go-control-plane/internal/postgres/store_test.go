//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
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
	return openWith(t, nil)
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

func TestWritesAreVersioned(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	items := postgres.Items(pool, pool, announce)
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
	stale := change
	stale.UnitPrice.Minor = 300
	if _, err := items.Update(ctx, stale); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("from an old version: %v", err)
	}
	if err := items.Delete(ctx, "mug", created.Version); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("delete of an old version: %v", err)
	}
	if err := items.Delete(ctx, "mug", updated.Version); err != nil {
		t.Error(err)
	}
	for _, err := range []error{items.Delete(ctx, "mug", 2), second(items.Get(ctx, "mug")), second(items.Update(ctx, updated))} {
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

// Many items are created at one version and with one notification, all or none of them, and once.
func TestItemsAreCreatedTogether(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	items, source := postgres.Items(pool, pool, announce), postgres.NewSnapshotSource(pool, announce)
	p := snapshot.NewPublisher(contract.UpdateEncoder{})
	whole, err := source.Whole(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	p.Replace(whole)
	all := make([]catalog.Item, 1000)
	for n := range all {
		all[n] = mug(int64(n))
		all[n].SKU = fmt.Sprintf("sku-%04d", n)
	}
	id := uuid.NewString()
	created, err := items.CreateAll(ctx, all, id)
	if err != nil || len(created) != len(all) || created[0].Version != 2 || created[999].Version != 2 || created[999].UnitPrice.Minor != 999 {
		t.Fatalf("%d created, %v", len(created), err)
	}
	if again, err := items.CreateAll(ctx, all, id); err != nil || !slices.Equal(again, created) {
		t.Errorf("again: %d, %v", len(again), err)
	}
	if _, err := items.CreateAll(ctx, all[:999], id); !errors.Is(err, catalog.ErrRequestIDReused) {
		t.Errorf("other content: %v", err)
	}
	step, err := source.Since(ctx, p.Point())
	if err != nil || len(step.Log) != 1000 || len(step.Resources) != 1000 || p.Advance(step) != nil || p.Stats().Version != 2 {
		t.Errorf("%d changes, %v, %+v", len(step.Log), err, p.Stats())
	}
	// One that exists keeps all others from being created, wherever it stands.
	for _, at := range []int{0, 1, 2} {
		some := []catalog.Item{mug(1), mug(2), mug(3)}
		for n := range some {
			some[n].SKU = fmt.Sprint("new-", n)
		}
		some[at] = all[7]
		var about *catalog.KeyError
		if _, err := items.CreateAll(ctx, some, ""); !errors.Is(err, catalog.ErrAlreadyExists) || !errors.As(err, &about) || about.Key.Name != "sku-0007" {
			t.Errorf("one exists: %v", err)
		}
	}
	if n, m := count(t, pool, "item"), count(t, pool, "outbox"); n != 1000 || m != 1000 {
		t.Errorf("%d items, %d messages", n, m)
	}
}

// An update whose answer was lost can be repeated, until another write has followed it.
func TestUpdatesAreRepeatable(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	promotions := postgres.Promotions(pool, pool, announce)
	created, err := promotions.Create(ctx, half(100), "")
	if err != nil {
		t.Fatal(err)
	}
	change := created
	change.Name, change.StartsAt = "Twice", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	first, err := promotions.Update(ctx, change)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := promotions.Update(ctx, change); err != nil || fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("again: %+v, %v; want %+v", again, err, first)
	}
	if n := count(t, pool, "outbox"); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	other := change
	other.Name = "Thrice"
	if _, err := promotions.Update(ctx, other); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("other content: %v", err)
	}
	older := change
	older.Version--
	if _, err := promotions.Update(ctx, older); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("another base: %v", err)
	}
	execute(t, pool, `UPDATE promotion SET spent_minor = 1`)
	dollars := change
	dollars.Budget.Currency = "USD"
	if _, err := promotions.Update(ctx, dollars); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("what is not allowed, from an old version: %v", err)
	}
	back := first
	back.Name = "Half"
	if back, err = promotions.Update(ctx, back); err != nil {
		t.Fatal(err)
	}
	back.Name = "Twice"
	if _, err = promotions.Update(ctx, back); err != nil {
		t.Fatal(err)
	}
	if _, err := promotions.Update(ctx, change); !errors.Is(err, catalog.ErrVersionMismatch) {
		t.Errorf("the same content, after other writes: %v", err)
	}
}

func second[A any](_ A, err error) error { return err }

func TestCreateIsRepeatable(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	items := postgres.Items(pool, pool, announce)
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
	rules := postgres.TaxRules(pool, pool, announce)
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
	items, rules, promotions := postgres.Items(pool, pool, announce), postgres.TaxRules(pool, pool, announce), postgres.Promotions(pool, pool, announce)
	source := postgres.NewSnapshotSource(pool, announce)
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
	step, err := source.Since(ctx, p.Point())
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
	if _, err := postgres.Promotions(pool, pool, announce).Create(ctx, half(100), ""); err != nil {
		t.Fatal(err)
	}
	book := postgres.NewLedger(pool, announce)
	record := func(offset, discount int64) ledger.Record {
		return ledger.Record{Topic: "usage", Partition: 1, Offset: offset, Window: window(discount)}
	}
	batch := ledger.Batch{Topic: "usage", TopicID: "first", Records: []ledger.Record{record(4, 30), record(6, 30)}, Next: map[int32]int64{1: 7}}
	for n, want := range []ledger.Booked{{Records: 2, Entries: 2}, {}} {
		booked, err := book.Apply(ctx, batch)
		if err != nil || fmt.Sprint(booked) != fmt.Sprint(want) {
			t.Errorf("time %d: %+v, %v; want %+v", n+1, booked, err, want)
		}
	}
	next, err := book.Positions(ctx, "usage")
	if err != nil || len(next) != 1 || next[1] != (ledger.Position{Offset: 7, TopicID: "first"}) {
		t.Errorf("next %v, %v", next, err)
	}
	promotion := func() catalog.Promotion {
		p, err := postgres.Promotions(pool, pool, announce).Get(ctx, "half")
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
	totals, _, err := book.Totals(ctx, ledger.Place{}, 0)
	if got, want := sums(totals), "EUR/DE: 9 quotes, 100 + 300 + 57 = 357"; err != nil || got != want {
		t.Errorf("totals %s, %v; want %s", got, err, want)
	}
	if page, err := book.Entries(ctx, 0, 2); err != nil || len(page) != 2 || page[0].Line != window(30).Lines[0] {
		t.Errorf("entries %+v, %v", page, err)
	}
	// When the log has lost its end, new records there do not run into what was booked, and what is left is not booked again.
	if err := book.Retire(ctx, "usage", 1, ledger.Position{Offset: 6, TopicID: "first"}); err != nil {
		t.Fatal(err)
	}
	booked, err = book.Apply(ctx, ledger.Batch{Topic: "usage", Records: []ledger.Record{record(4, 1), record(6, 1)}, Next: map[int32]int64{1: 7}})
	if err != nil || booked.Records != 1 {
		t.Errorf("%+v, %v", booked, err)
	}
	if n := count(t, pool, "usage_record"); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
	// Nothing of a topic that was made anew is booked until its position is there.
	anew := ledger.Batch{Topic: "usage", TopicID: "second", Records: []ledger.Record{record(0, 1)}, Next: map[int32]int64{1: 1}}
	if _, err := book.Apply(ctx, anew); !errors.Is(err, ledger.ErrOtherTopic) {
		t.Errorf("the records of another topic: %v", err)
	}
	if err := book.Retire(ctx, "usage", 1, ledger.Position{TopicID: "second"}); err != nil {
		t.Fatal(err)
	}
	if booked, err := book.Apply(ctx, anew); err != nil || booked.Records != 1 {
		t.Errorf("%+v, %v", booked, err)
	}
	if next, err := book.Positions(ctx, "usage"); err != nil || next[1] != (ledger.Position{Offset: 1, TopicID: "second"}) {
		t.Errorf("next %v, %v", next, err)
	}
	if n := count(t, pool, "usage_record"); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
}

// A record that Postgres refuses for what it is says so, and nothing of its batch is booked.
func TestRecordsThatCannotBeStoredAreRefused(t *testing.T) {
	pool := open(t)
	book := postgres.NewLedger(pool, announce)
	odd := window(0)
	odd.Lines = []ledger.Line{{SKU: "a\x00b"}}
	batch := ledger.Batch{Topic: "usage", Next: map[int32]int64{0: 2}, Records: []ledger.Record{
		{Topic: "usage", Offset: 0, Window: window(0)}, {Topic: "usage", Offset: 1, Window: odd}}}
	if _, err := book.Apply(t.Context(), batch); !errors.Is(err, ledger.ErrRefused) {
		t.Errorf("%v", err)
	}
	if n := count(t, pool, "usage_record"); n != 0 {
		t.Errorf("%d records", n)
	}
	pool.Close()
	if _, err := book.Apply(t.Context(), batch); err == nil || errors.Is(err, ledger.ErrRefused) {
		t.Errorf("without Postgres: %v", err)
	}
}

// Usage counts for the promotion that priced it, not for another that was given its id.
func TestUsageOfADeletedPromotion(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	promotions := postgres.Promotions(pool, pool, announce)
	first, err := promotions.Create(ctx, half(100), "")
	if err != nil {
		t.Fatal(err)
	}
	raised := first
	raised.Budget.Minor = 200
	if first, err = promotions.Update(ctx, raised); err != nil || first.CreatedVersion != 2 || first.Version != 3 {
		t.Fatalf("%+v, %v", first, err)
	}
	book := postgres.NewLedger(pool, announce)
	offset := int64(0)
	apply := func(discount, created int64, end time.Time) {
		t.Helper()
		w := window(discount)
		w.Start, w.End, w.Lines[0].PromotionCreatedVersion = end.Add(-10*time.Second), end, created
		offset++
		if _, err := book.Apply(ctx, ledger.Batch{Topic: "usage", Next: map[int32]int64{0: offset},
			Records: []ledger.Record{{Topic: "usage", Offset: offset - 1, Window: w}}}); err != nil {
			t.Fatal(err)
		}
	}
	spent := func() int64 {
		t.Helper()
		p, err := promotions.Get(ctx, "half")
		if err != nil {
			t.Fatal(err)
		}
		return p.SpentMinor
	}
	longAgo := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	apply(1, first.CreatedVersion, longAgo)
	apply(2, 0, longAgo)
	if got := spent(); got != 3 {
		t.Errorf("the only one with the id has spent %d, want 3", got)
	}
	if err := promotions.Delete(ctx, "half", first.Version); err != nil {
		t.Fatal(err)
	}
	second, err := promotions.Create(ctx, half(100), "")
	if err != nil || second.CreatedVersion != second.Version || second.SpentMinor != 0 {
		t.Fatalf("%+v, %v", second, err)
	}
	apply(4, first.CreatedVersion, time.Now().Add(time.Minute))
	apply(8, 0, longAgo)
	if got := spent(); got != 0 {
		t.Errorf("the second has spent %d of the first", got)
	}
	apply(16, second.CreatedVersion, longAgo)
	apply(32, 0, time.Now().Add(time.Minute))
	if got := spent(); got != 48 {
		t.Errorf("the second has spent %d, want 48", got)
	}
	entries, err := book.Entries(ctx, 0, 10)
	if err != nil || len(entries) != 6 || entries[0].Line.PromotionCreatedVersion != first.CreatedVersion {
		t.Errorf("%+v, %v", entries, err)
	}
}

// A batch that goes on after an offset that the ledger no longer has is refused, and moves nothing.
func TestALedgerThatWentBackIsNoticed(t *testing.T) {
	pool := open(t)
	book := postgres.NewLedger(pool, announce)
	at := func(offset int64) ledger.Batch {
		return ledger.Batch{Topic: "usage", From: map[int32]int64{0: offset}, Next: map[int32]int64{0: offset + 1},
			Records: []ledger.Record{{Topic: "usage", Offset: offset, Window: window(0)}}}
	}
	for offset := range int64(2) {
		if _, err := book.Apply(t.Context(), at(offset)); err != nil {
			t.Fatal(err)
		}
	}
	for _, statement := range []string{`UPDATE consumer_offset SET next_offset = 1`, `DELETE FROM consumer_offset`} {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		if _, err := book.Apply(t.Context(), at(2)); !errors.Is(err, ledger.ErrOffsetWentBack) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if n := count(t, pool, "usage_record"); n != 2 {
		t.Errorf("%d records", n)
	}
}

func sums(totals []ledger.Total) string {
	var lines []string
	for _, t := range totals {
		lines = append(lines, fmt.Sprintf("%s/%s: %v quotes, %v + %v + %v = %v", t.Currency, t.Jurisdiction, &t.Quotes, &t.Discount, &t.Net, &t.Tax, &t.Gross))
	}
	return strings.Join(lines, "\n")
}

// Totals beyond int64 are told, and hide no others.
func TestTotalsAreExact(t *testing.T) {
	pool := open(t)
	book := postgres.NewLedger(pool, announce)
	w := window(0)
	w.Lines = []ledger.Line{{SKU: "mug", NetMinor: 1<<63 - 1, GrossMinor: 1<<63 - 1}, {SKU: "cup", NetMinor: 1<<63 - 1, GrossMinor: 1<<63 - 1}}
	other := window(1)
	other.Jurisdiction = "AT"
	for offset := range int64(2) {
		if _, err := book.Apply(t.Context(), ledger.Batch{Topic: "usage", Next: map[int32]int64{0: 2 * (offset + 1)}, Records: []ledger.Record{
			{Topic: "usage", Offset: 2 * offset, Window: w}, {Topic: "usage", Offset: 2*offset + 1, Window: other}}}); err != nil {
			t.Fatal(err)
		}
	}
	totals, _, err := book.Totals(t.Context(), ledger.Place{}, 0)
	want := "EUR/AT: 6 quotes, 2 + 200 + 38 = 238\nEUR/DE: 6 quotes, 0 + 36893488147419103228 + 0 = 36893488147419103228"
	if got := sums(totals); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	// The migration fills the table with the same.
	script, err := os.ReadFile("migrations/0005_ledger_total.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "DROP TABLE ledger_total;"+string(script)); err != nil {
		t.Fatal(err)
	}
	if totals, _, err = book.Totals(t.Context(), ledger.Place{}, 0); err != nil || sums(totals) != want {
		t.Errorf("migrated: %s, %v; want %s", sums(totals), err, want)
	}
}

// Catalog writes and bookings of the same promotion at the same time neither deadlock nor lose.
func TestWritesAndBookingsMeet(t *testing.T) {
	pool := open(t)
	ctx := t.Context()
	promotions := postgres.Promotions(pool, pool, announce)
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
