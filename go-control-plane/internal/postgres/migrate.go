package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Keys of the advisory locks. One session at a time holds each; the server releases it when the connection ends.
const (
	migrationLock int64 = 0x68796272_0001
	relayLock     int64 = 0x68796272_0002
	ledgerLock    int64 = 0x68796272_0003
)

// Migrate applies the migrations that are missing. If several processes call it at the same time, one applies them and the
// others wait.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return translate(pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		if err := takeLock(ctx, c.Conn(), migrationLock); err != nil {
			return err
		}
		defer c.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock)
		return migrate(ctx, c.Conn())
	}))
}

func migrate(ctx context.Context, c *pgx.Conn) error {
	const journal = `CREATE TABLE IF NOT EXISTS schema_migration (
		number int PRIMARY KEY, file text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`
	if _, err := c.Exec(ctx, journal); err != nil {
		return err
	}
	var done int
	if err := c.QueryRow(ctx, `SELECT coalesce(max(number), 0) FROM schema_migration`).Scan(&done); err != nil {
		return err
	}
	// Glob sorts by name, which begins with the number.
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	for _, file := range files {
		name := strings.TrimPrefix(file, "migrations/")
		number, err := strconv.Atoi(name[:4])
		if err != nil {
			return fmt.Errorf("migration %s: its name must begin with four digits", name)
		}
		if number <= done {
			continue
		}
		script, err := migrations.ReadFile(file)
		if err != nil {
			return err
		}
		err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			// The limit of a statement is meant for calls; a migration may have to rewrite a table.
			if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0;"+string(script)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO schema_migration (number, file) VALUES ($1, $2)`, number, name)
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
	}
	return nil
}
