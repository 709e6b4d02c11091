//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/postgrestest"
)

// openWith opens a migrated database with settings of the session, if there are any.
func openWith(t *testing.T, settings url.Values) *pgxpool.Pool {
	t.Helper()
	uri := postgrestest.Database(t) + "&" + settings.Encode()
	pool, err := postgres.Open(t.Context(), uri, postgres.NewTracer())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

func execute(t *testing.T, pool *pgxpool.Pool, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Sessions that began while the server was read-only do not stay so.
func TestAReadOnlyServerHeals(t *testing.T) {
	pool := open(t)
	admin := open(t)
	var name string
	if err := pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	items := postgres.Items(pool, pool, announce)
	execute(t, admin, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	pool.Reset()
	if _, err := items.Create(t.Context(), mug(1), ""); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("create: %v", err)
	}
	if err := postgres.Writable(t.Context(), pool); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("writable: %v", err)
	}
	if _, _, err := items.List(t.Context(), "", 1); err != nil {
		t.Errorf("reads: %v", err)
	}
	execute(t, admin, `ALTER DATABASE `+name+` RESET default_transaction_read_only`)
	// At most the one session that only read is left.
	deadline := time.Now().Add(10 * time.Second)
	for postgres.Writable(t.Context(), pool) != nil {
		if time.Now().After(deadline) {
			t.Fatal("read-only for good")
		}
	}
	if _, err := items.Create(t.Context(), mug(1), ""); err != nil {
		t.Error(err)
	}
}

// lockVersion takes the lock of catalog writes, as a writer does that then stops.
func lockVersion(t *testing.T, pool *pgxpool.Pool) (release func()) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM catalog_version FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	return func() { tx.Rollback(t.Context()) }
}

// A lock that another has is a reason to try later, and writes go on when it is given back. Booking does not wait for it, unless
// a promotion is exhausted; that is made good when the lock is free.
func TestALockThatIsNotToBeHad(t *testing.T) {
	pool := openWith(t, url.Values{"lock_timeout": {"200"}})
	promotions := postgres.Promotions(pool, pool, announce)
	if _, err := promotions.Create(t.Context(), half(50), ""); err != nil {
		t.Fatal(err)
	}
	book := postgres.NewLedger(pool, announce)
	batch := func(offset, discount int64) ledger.Batch {
		return ledger.Batch{Topic: "usage", Next: map[int32]int64{0: offset + 1}, Records: []ledger.Record{{Topic: "usage", Offset: offset, Window: window(discount)}}}
	}
	release := lockVersion(t, pool)
	if _, err := postgres.Items(pool, pool, announce).Create(t.Context(), mug(1), ""); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("create: %v", err)
	}
	if err := postgres.Writable(t.Context(), pool); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("writable: %v", err)
	}
	if booked, err := book.Apply(t.Context(), batch(0, 20)); err != nil || booked.Records != 1 {
		t.Errorf("booking: %+v, %v", booked, err)
	}
	if _, err := book.Apply(t.Context(), batch(1, 30)); !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("exhaustion: %v", err)
	}
	if p, err := promotions.Get(t.Context(), "half"); err != nil || p.SpentMinor != 50 || !p.Exhausted || p.Version != 2 {
		t.Errorf("not marked yet: %+v, %v", p, err)
	}
	release()
	if err := postgres.Writable(t.Context(), pool); err != nil {
		t.Error(err)
	}
	if next, err := book.Positions(t.Context(), "usage"); err != nil || next[0].Offset != 2 {
		t.Errorf("%v, %v", next, err)
	}
	if p, err := promotions.Get(t.Context(), "half"); err != nil || p.SpentMinor != 50 || !p.Exhausted || p.Version != 3 {
		t.Errorf("marked: %+v, %v", p, err)
	}
}

// The server ends a transaction whose client does not go on, and what it had locked is free.
func TestAWriterThatStopsIsEnded(t *testing.T) {
	pool := openWith(t, url.Values{"idle_in_transaction_session_timeout": {"300"}, "lock_timeout": {"10000"}})
	release := lockVersion(t, pool)
	defer release()
	if _, err := postgres.Items(pool, pool, announce).Create(t.Context(), mug(1), ""); err != nil {
		t.Error(err)
	}
}

func TestSessionsHaveLimits(t *testing.T) {
	pool := open(t)
	for name, want := range map[string]string{"lock_timeout": "5s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "10s",
		"tcp_keepalives_idle": "10", "application_name": "control-plane"} {
		var got string
		if err := pool.QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
}

// Writes that wait for their lock leave connections to reads, and those for whom there is none hear of it.
func TestWritesThatWaitKeepNobodyFromReading(t *testing.T) {
	pools, err := postgres.OpenPools(t.Context(), postgrestest.Database(t)+"&lock_timeout=500", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pools.Close()
	if err := postgres.Migrate(t.Context(), pools.Background); err != nil {
		t.Fatal(err)
	}
	release := lockVersion(t, pools.Background)
	defer release()
	items := postgres.Items(pools.Reads, pools.Writes, announce)
	const writers = 8
	answers := make(chan error, writers)
	for range writers {
		go func() { answers <- second(items.Create(t.Context(), mug(1), "")) }()
	}
	for pools.Writes.Stat().AcquiredConns() < pools.Writes.Stat().MaxConns() {
		time.Sleep(time.Millisecond)
	}
	if _, _, err := items.List(t.Context(), "", 1); err != nil {
		t.Error(err)
	}
	for range writers {
		if err := <-answers; !errors.Is(err, catalog.ErrUnavailable) {
			t.Error(err)
		}
	}
}

// Who waits for a duty, or to migrate, holds no snapshot, which would keep vacuum from its work.
func TestWaitingHoldsNoSnapshot(t *testing.T) {
	pool := open(t)
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, int64(0x68796272_0002)); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		postgres.Lead(t.Context(), pool, postgres.RelayDuty, slog.New(slog.DiscardHandler), func(context.Context) error { return nil })
	}()
	t.Cleanup(func() { <-waiting })
	const asked = `SELECT count(*) FILTER (WHERE query LIKE '%advisory%'), count(*) FILTER (WHERE query LIKE '%advisory%' AND state <> 'idle')
		FROM pg_stat_activity WHERE datname = current_database() AND pid <> ALL($1)`
	deadline := time.Now().Add(10 * time.Second)
	for {
		var asking, inside int
		if err := pool.QueryRow(t.Context(), asked, []uint32{conn.PgConn().PID()}).Scan(&asking, &inside); err != nil {
			t.Fatal(err)
		}
		// The query itself names the lock, so it counts once as active.
		if asking == 2 && inside == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d ask for the lock, %d of them are in a statement", asking-1, inside-1)
		}
	}
}

// The kernel does not keep a connection for a quarter of an hour on which nothing is acknowledged.
func TestSocketsDoNotWaitForAcknowledgements(t *testing.T) {
	conn, err := open(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	socket, ok := conn.Conn().PgConn().Conn().(syscall.Conn)
	if !ok {
		t.Fatalf("a connection is a %T", conn.Conn().PgConn().Conn())
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has this limit for a socket")
	}
	const tcpUserTimeout = 18
	var limit int
	if failed := raw.Control(func(fd uintptr) { limit, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout) }); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	if limit != 25_000 {
		t.Errorf("the limit is %d ms", limit)
	}
}
