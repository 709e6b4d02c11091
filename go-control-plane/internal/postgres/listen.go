package postgres

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/backoff"
)

// Listen wakes each of these whenever a catalog write was committed, until ctx is done. A wake never blocks: one that is
// already due stands for those that follow. After a lost connection it connects anew and wakes all, for something may have
// been missed.
func Listen(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, wake ...chan<- struct{}) error {
	var pace backoff.Backoff
	interrupted := false
	for {
		err := listenOnce(ctx, pool, wake, func() {
			pace.Reset()
			interrupted = false
		})
		if ctx.Err() != nil {
			return nil
		}
		if !interrupted {
			log.WarnContext(ctx, "notifications interrupted; polling meanwhile", "error", err)
			interrupted = true
		}
		if pace.Wait(ctx) != nil {
			return nil
		}
	}
}

func listenOnce(ctx context.Context, pool *pgxpool.Pool, wake []chan<- struct{}, listening func()) error {
	conn, err := connect(ctx, pool)
	if err != nil {
		return err
	}
	defer closeQuietly(conn)
	if _, err := conn.Exec(ctx, `LISTEN `+ChangedChannel); err != nil {
		return err
	}
	listening()
	for {
		for _, w := range wake {
			select {
			case w <- struct{}{}:
			default:
			}
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}
