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

// Duty is work that one process does at a time.
type Duty struct {
	name string
	lock int64
}

// The duties of a control plane.
var (
	RelayDuty  = Duty{"outbox relay", relayLock}
	LedgerDuty = Duty{"usage ledger", ledgerLock}
)

// Lead does the duty whenever this process is the one to do it, until ctx is done. Others wait in the server's queue for the
// lock, which costs nothing. When the connection that holds it is lost, work's context ends before the duty is sought anew.
func Lead(ctx context.Context, pool *pgxpool.Pool, duty Duty, log *slog.Logger, work func(context.Context) error) error {
	var pace backoff.Backoff
	seeking := false
	for {
		began := time.Now()
		err := leadOnce(ctx, pool, duty, work, func() {
			log.InfoContext(ctx, "duty taken", "duty", duty.name)
			seeking = false
		})
		if ctx.Err() != nil {
			return nil
		}
		// An outage is told once, however many tries it lasts.
		if !seeking {
			log.WarnContext(ctx, "duty interrupted; seeking it anew", "duty", duty.name, "error", err)
			seeking = true
		}
		if time.Since(began) > 10*time.Second {
			pace.Reset()
		}
		if pace.Wait(ctx) != nil {
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
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, duty.lock); err != nil {
		return translate(err)
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
	// Nothing is listened to on this connection: the wait ends when the connection does, or the work.
	_, lost := conn.WaitForNotification(working)
	stop(lost)
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return translate(lost)
}

var errWorkEnded = errors.New("the work ended")

// connect opens a connection outside the pool, for a purpose that keeps it.
func connect(ctx context.Context, pool *pgxpool.Pool) (*pgx.Conn, error) {
	config := pool.Config().ConnConfig.Copy()
	config.Tracer = nil
	conn, err := pgx.ConnectConfig(ctx, config)
	return conn, translate(err)
}

func closeQuietly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx)
}
