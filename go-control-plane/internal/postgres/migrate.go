package postgres

import (
	"context"
	"crypto/sha256"
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
// others wait. It fails if the schema has migrations that this program does not know, or with other content.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	c, err := acquire(ctx, pool)
	if err != nil {
		return translate(ctx, err)
	}
	defer c.Release()
	if err := takeLock(ctx, c.Conn(), migrationLock); err != nil {
		return translate(ctx, err)
	}
	defer func() {
		// A session that does not answer is closed, which releases the lock too.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shortWork)
		defer cancel()
		c.Exec(limited, `SELECT pg_advisory_unlock($1)`, migrationLock)
	}()
	return translate(ctx, migrate(ctx, c.Conn()))
}

// script is a migration of this program.
type script struct {
	number          int
	file, text, sum string
}

func scripts() ([]script, error) {
	// Glob sorts by name, which begins with the number.
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	all := make([]script, len(files))
	for i, path := range files {
		text, err := migrations.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file := strings.TrimPrefix(path, "migrations/")
		number, err := strconv.Atoi(file[:4])
		if err != nil || (i > 0 && number <= all[i-1].number) {
			return nil, fmt.Errorf("migration %s: its name must begin with four digits, above those of the one before", file)
		}
		all[i] = script{number, file, string(text), fmt.Sprintf("%x", sha256.Sum256(text))}
	}
	return all, nil
}

func migrate(ctx context.Context, c *pgx.Conn) error {
	known, err := scripts()
	if err != nil {
		return err
	}
	// Only the migrations themselves may take their time.
	limited, cancel := context.WithTimeout(ctx, shortWork)
	done, err := applied(limited, c, known)
	cancel()
	if err != nil {
		return err
	}
	for _, s := range known[done:] {
		err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			// The limit of a statement is meant for calls; a migration may have to rewrite a table.
			if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = 0`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, s.text); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO schema_migration (number, file, checksum) VALUES ($1, $2, $3)`, s.number, s.file, s.sum)
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", s.file, err)
		}
	}
	return nil
}

// applied returns how many migrations the schema has, all of which must be those that are known. Of migrations that were applied
// before checksums were noted, they are noted now.
func applied(ctx context.Context, c *pgx.Conn, known []script) (int, error) {
	// A table that is complete is not locked: a backup may be reading it, and a start does not wait for that.
	const journal = `DO $$ BEGIN
		CREATE TABLE IF NOT EXISTS schema_migration (
			number int PRIMARY KEY, file text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
		IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'schema_migration'::regclass AND attname = 'checksum') THEN
			ALTER TABLE schema_migration ADD COLUMN checksum text;
		END IF;
	END $$`
	if _, err := c.Exec(ctx, journal); err != nil {
		return 0, err
	}
	rows, err := c.Query(ctx, `SELECT number, file, coalesce(checksum, '') FROM schema_migration ORDER BY number`)
	if err != nil {
		return 0, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s script, err error) {
		err = row.Scan(&s.number, &s.file, &s.sum)
		return s, err
	})
	if err != nil {
		return 0, err
	}
	for i, f := range found {
		switch {
		case f.number > known[len(known)-1].number:
			return 0, fmt.Errorf("the schema is newer than this program: it has migration %s, and the newest one known is %s", f.file, known[len(known)-1].file)
		case f.number < known[i].number:
			return 0, fmt.Errorf("the schema has migration %s, which this program does not know", f.file)
		case f.number > known[i].number:
			return 0, fmt.Errorf("migration %s is not noted in the schema, but later ones are", known[i].file)
		case f.sum == "":
			if _, err := c.Exec(ctx, `UPDATE schema_migration SET checksum = $2 WHERE number = $1`, f.number, known[i].sum); err != nil {
				return 0, err
			}
		case f.sum != known[i].sum:
			return 0, fmt.Errorf("migration %s was applied with other content than this program has: it must not be changed, but followed by another one", f.file)
		}
	}
	return len(found), nil
}
