// Package postgres keeps the catalog, its outbox, the ledger and the state of the fleet in PostgreSQL.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
)

// Open makes a pool of connections. It does not connect yet, so it succeeds while the server is away.
func Open(ctx context.Context, uri string, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(uri)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = tracer
	config.ConnConfig.ConnectTimeout = 3 * time.Second
	config.ConnConfig.RuntimeParams["application_name"] = "control-plane"
	// Two cores serve latency-critical neighbours as well: a few connections carry all that this process can do.
	config.MaxConns = 8
	config.MaxConnIdleTime = time.Minute
	return pgxpool.NewWithConfig(ctx, config)
}

// translate turns a failure of the server or of the way to it into catalog.ErrUnavailable, and leaves other errors alone.
func translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if unreachable(err) {
		return fmt.Errorf("%w: %w", catalog.ErrUnavailable, err)
	}
	return err
}

func unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		switch server.Code[:2] {
		// Connection failures, resources exhausted, operator intervention, a schema that is not there yet, a transaction
		// that lost against another one.
		case "08", "53", "57", "40":
			return true
		}
		return server.Code == "42P01"
	}
	return pgconn.SafeToRetry(err) || err.Error() == "conn closed"
}

// inTx runs work in a transaction. Work's error rolls it back and is returned.
func inTx(ctx context.Context, pool *pgxpool.Pool, options pgx.TxOptions, work func(pgx.Tx) error) error {
	return translate(pgx.BeginTxFunc(ctx, pool, options, work))
}
