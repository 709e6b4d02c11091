package postgres

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/backoff"
)

// Listen sends to each of the wake channels after every committed catalog write, until ctx is done. A send never blocks: a
// full channel already has a wake-up waiting. After a lost connection Listen reconnects and wakes all, because
// notifications may have been missed.
func Listen(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, wake ...chan<- struct{}) error {
	retry := backoff.Retry{Work: "catalog notifications", Log: log}
	for {
		err := listenOnce(ctx, pool, wake, func() { retry.Succeeded(ctx) })
		if retry.Failed(ctx, err) != nil {
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
	limited, cancel := context.WithTimeout(ctx, shortWork)
	_, err = conn.Exec(limited, `LISTEN `+ChangedChannel)
	cancel()
	if err != nil {
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
