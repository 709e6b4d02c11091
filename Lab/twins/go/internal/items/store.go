package items

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// The lock makes several twins on one database create the table in turn.
const createTable = `
select pg_advisory_xact_lock(hashtext('lab_items'));
create table if not exists lab_items (
    id    bigint generated always as identity primary key,
    name  text not null,
    price double precision not null,
    tax   double precision not null
)`

const insert = `insert into lab_items (name, price, tax) values ($1, $2, $3) returning id`

// Postgres stores items in the table lab_items. Its methods are safe to call from any goroutine.
type Postgres struct{ pool *pgxpool.Pool }

// Open connects to a database with a pool of the given size, and creates the table where it is missing.
func Open(ctx context.Context, url string, size int) (*Postgres, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read DATABASE_URL: %w", err)
	}
	config.MaxConns = int32(size)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("make the pool: %w", err)
	}
	// Without arguments it is sent as one simple query, and so is one transaction.
	if err := pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Conn().PgConn().Exec(ctx, createTable).ReadAll()
		return err
	}); err != nil {
		pool.Close()
		return nil, fmt.Errorf("create the table: %w", err)
	}
	return &Postgres{pool}, nil
}

// Insert implements Store. The statement is prepared once on each connection, by pgx's cache.
func (p *Postgres) Insert(ctx context.Context, name string, price, tax float64) (int64, error) {
	var id int64
	if err := p.pool.QueryRow(ctx, insert, name, price, tax).Scan(&id); err != nil {
		return 0, fmt.Errorf("insert an item: %w", err)
	}
	return id, nil
}

// Close waits for the connections in use, and closes all.
func (p *Postgres) Close() { p.pool.Close() }
