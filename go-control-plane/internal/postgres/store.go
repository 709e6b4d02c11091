// Package postgres keeps the catalog, its outbox, the ledger and the state of the fleet in PostgreSQL.
package postgres

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hybrid/control-plane/internal/telemetry"
)

// Pools are the connections of a control plane, apart by what they wait for: writes of the catalog wait for each other, and none
// of them keeps the reads of callers, or the work in the background, from a connection.
type Pools struct {
	Reads, Writes, Background *pgxpool.Pool
}

// OpenPools makes the pools. It does not connect yet, so it also succeeds while the server is away; it fails if the URI is not
// accepted.
func OpenPools(ctx context.Context, uri string, tracer pgx.QueryTracer) (p Pools, err error) {
	// The machine also runs latency-critical neighbours, and a few connections suffice for the load of this process.
	for _, pool := range []struct {
		into **pgxpool.Pool
		size int32
	}{{&p.Reads, 6}, {&p.Writes, 4}, {&p.Background, 8}} {
		if *pool.into, err = open(ctx, uri, tracer, pool.size); err != nil {
			p.Close()
			return Pools{}, err
		}
	}
	return p, nil
}

// Close closes all connections.
func (p Pools) Close() {
	for _, pool := range []*pgxpool.Pool{p.Reads, p.Writes, p.Background} {
		if pool != nil {
			pool.Close()
		}
	}
}

// Readings describes the pools for metrics.
func (p Pools) Readings() []telemetry.Pool {
	return []telemetry.Pool{reading("reads", p.Reads), reading("writes", p.Writes), reading("background", p.Background)}
}

// Open makes one pool of connections for all purposes.
func Open(ctx context.Context, uri string, tracer pgx.QueryTracer) (*pgxpool.Pool, error) {
	return open(ctx, uri, tracer, 8)
}

// session has the limits of a session, in milliseconds and seconds. Settings of the connection string have precedence. A caller
// hears that a lock is not to be had before it gives up, and the server ends what a client that vanished has left.
var session = map[string]string{
	"application_name":                    "control-plane",
	"lock_timeout":                        "5000",
	"statement_timeout":                   "30000",
	"idle_in_transaction_session_timeout": "10000",
	"tcp_keepalives_idle":                 "10",
	"tcp_keepalives_interval":             "5",
	"tcp_keepalives_count":                "3",
	"tcp_user_timeout":                    "25000",
}

func open(ctx context.Context, uri string, tracer pgx.QueryTracer, size int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(uri)
	if err != nil {
		return nil, err
	}
	c := config.ConnConfig
	c.Tracer = tracer
	c.ConnectTimeout = 3 * time.Second
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}
	// As the server's end has it, in session.
	limitUnacknowledged(&dialer, 25*time.Second)
	c.DialFunc = dialer.DialContext
	for name, value := range session {
		if _, given := c.RuntimeParams[name]; !given {
			c.RuntimeParams[name] = value
		}
	}
	fatal := c.OnPgError
	c.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return !leadsAstray(err.Code) && fatal(conn, err)
	}
	config.MaxConns = size
	config.MaxConnIdleTime = time.Minute
	// One that is dead leaves time for others.
	config.PingTimeout = time.Second
	return pgxpool.NewWithConfig(ctx, config)
}

func reading(purpose string, pool *pgxpool.Pool) telemetry.Pool {
	stat, config := pool.Stat(), pool.Config().ConnConfig
	return telemetry.Pool{
		Name: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))) + "/" + config.Database + "/" + purpose,
		Used: int64(stat.AcquiredConns()), Idle: int64(stat.IdleConns()), Max: int64(stat.MaxConns()),
		Timeouts: stat.CanceledAcquireCount(),
	}
}
