package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
)

// Limits of a piece of work from the request for a connection on. A server that stands still, or to which the link is gone without a
// sign, answers nothing, and none of its own limits tells.
const (
	// freeWait is how long work waits for a free connection.
	freeWait = 5 * time.Second
	// probeLimit is above the server's limit for a lock, so that the reason is told, and below what is left of the ten seconds in
	// which a stuck store must be told.
	probeLimit = 6 * time.Second
	// shortWork is below the deadline of calls, so that a caller hears that the store is at fault.
	shortWork = 8 * time.Second
	// longWork is for work that nobody waits for and that may have much to do. It is what the server grants a statement.
	longWork = 30 * time.Second
)

// use gives work a connection of the pool. All statements of work need the context that it is given, which ends with the limit.
func use(ctx context.Context, pool *pgxpool.Pool, limit time.Duration, work func(context.Context, *pgxpool.Conn) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := acquire(limited, pool)
	if err != nil {
		return translate(ctx, err)
	}
	defer conn.Release()
	err = work(limited, conn)
	if limited.Err() != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer within %v", catalog.ErrUnavailable, limit)
	}
	return translate(ctx, err)
}

func acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, freeWait)
	defer cancel()
	conn, err := pool.Acquire(waiting)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: no connection became free within %v", catalog.ErrUnavailable, freeWait)
	}
	return conn, err
}

// inTx is use with a transaction. An error of work rolls it back and is returned.
func inTx(ctx context.Context, pool *pgxpool.Pool, limit time.Duration, options pgx.TxOptions, work func(context.Context, pgx.Tx) error) error {
	return use(ctx, pool, limit, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error { return work(ctx, tx) })
	})
}

// Writable returns an error if a catalog write is not possible at present: the server is away, hangs or is read-only, or something
// holds the lock that each write takes.
func Writable(ctx context.Context, pool *pgxpool.Pool) error {
	return inTx(ctx, pool, probeLimit, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT FROM catalog_version FOR UPDATE`)
		return err
	})
}
