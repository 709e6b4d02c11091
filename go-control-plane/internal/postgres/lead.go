package postgres

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/backoff"
)

// Duty is work that at most one process does at a time.
type Duty struct {
	name string
	lock int64
}

// The duties of a control plane.
var (
	RelayDuty  = Duty{"outbox relay", relayLock}
	LedgerDuty = Duty{"usage ledger", ledgerLock}
)

// lockPoll is how often a lock that another session has is requested again. To wait for it in the server would hold a snapshot,
// which keeps vacuum from its work.
const lockPoll = time.Second

// Lead runs work while this process holds the duty's advisory lock, until ctx is done. Other processes poll for the lock. When the
// connection that holds the lock is lost, the context of work ends before the lock is requested again.
func Lead(ctx context.Context, pool *pgxpool.Pool, duty Duty, log *slog.Logger, work func(context.Context) error) error {
	retry := backoff.Retry{Work: "leadership of the " + duty.name, Log: log}
	for {
		err := leadOnce(ctx, pool, duty, work, func() {
			retry.Succeeded(ctx)
			log.InfoContext(ctx, "leadership acquired", "duty", duty.name)
		})
		if retry.Failed(ctx, err) != nil {
			return nil
		}
	}
}

func leadOnce(ctx context.Context, pool *pgxpool.Pool, duty Duty, work func(context.Context) error, taken func()) error {
	conn, err := connect(ctx, pool)
	if err != nil {
		return err
	}
	defer closeQuietly(conn)
	if err := takeLock(ctx, conn, duty.lock); err != nil {
		return translate(ctx, err)
	}
	taken()
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan error, 1)
	go func() {
		err := work(working)
		stop(errWorkEnded)
		done <- err
	}()
	// The connection listens to no channel, so the wait ends only when the connection is lost or the work has ended.
	_, lost := conn.WaitForNotification(working)
	stop(lost)
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return translate(ctx, lost)
}

// takeLock waits until the session has the advisory lock.
func takeLock(ctx context.Context, conn *pgx.Conn, lock int64) error {
	for {
		taken, err := tryLock(ctx, conn, lock)
		if err != nil || taken {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

func tryLock(ctx context.Context, conn *pgx.Conn, lock int64) (taken bool, err error) {
	limited, cancel := context.WithTimeout(ctx, shortWork)
	defer cancel()
	err = conn.QueryRow(limited, `SELECT pg_try_advisory_lock($1)`, lock).Scan(&taken)
	return taken, translate(ctx, err)
}

var errWorkEnded = errors.New("the work ended")

// connect opens a connection outside the pool, for a long-lived purpose.
func connect(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	config := pool.Config().ConnConfig.Copy()
	config.Tracer = nil
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, translate(ctx, err)
}

func closeQuietly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx)
}
