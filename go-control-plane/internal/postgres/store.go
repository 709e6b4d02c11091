// Package postgres keeps the catalog, its outbox, the ledger and the state of the fleet in PostgreSQL.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/telemetry"
)

// Open makes a pool of connections. It does not connect yet, so it also succeeds while the server is away; it fails if the
// URI is not accepted.
func Open(ctx context.Context, uri string, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(uri)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = tracer
	config.ConnConfig.ConnectTimeout = 3 * time.Second
	config.ConnConfig.RuntimeParams["application_name"] = "control-plane"
	// The machine also runs latency-critical neighbours, and a few connections suffice for the load of this process.
	config.MaxConns = 8
	config.MaxConnIdleTime = time.Minute
	return pgxpool.NewWithConfig(ctx, config)
}

// PoolReading describes the pool for metrics.
func PoolReading(pool *pgxpool.Pool) telemetry.Pool {
	stat, config := pool.Stat(), pool.Config().ConnConfig
	return telemetry.Pool{
		Name: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))) + "/" + config.Database,
		Used: int64(stat.AcquiredConns()), Idle: int64(stat.IdleConns()), Max: int64(stat.MaxConns()),
		Timeouts: stat.CanceledAcquireCount(),
	}
}

// translate wraps failures of the server, or of the connection to it, in catalog.ErrUnavailable, and returns other errors
// unchanged.
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
		// Connection exception, insufficient resources, operator intervention, transaction rollback.
		case "08", "53", "57", "40":
			return true
		}
		// Undefined table: the schema does not exist yet.
		return server.Code == "42P01"
	}
	return pgconn.SafeToRetry(err) || err.Error() == "conn closed"
}

// inTx runs work in a transaction. An error of work rolls it back and is returned.
func inTx(ctx context.Context, pool *pgxpool.Pool, options pgx.TxOptions, work func(pgx.Tx) error) error {
	return translate(pgx.BeginTxFunc(ctx, pool, options, work))
}
