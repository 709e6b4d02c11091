//go:build unix

package postgres_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/postgrestest"
)

func TestMigrationsRunOnce(t *testing.T) {
	uri := postgrestest.Database(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			pool, err := postgres.Open(t.Context(), uri, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer pool.Close()
			if err := postgres.Migrate(t.Context(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	pool, err := postgres.Open(t.Context(), uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	if n := count(t, pool, "schema_migration"); n != len(files) {
		t.Errorf("%d migrations are noted, there are %d", n, len(files))
	}
}

// What was applied is what this program knows, or it says what is wrong and changes nothing.
func TestMigrationsAreCompared(t *testing.T) {
	for name, c := range map[string]struct{ statement, want string }{
		"as applied":       {`SELECT 1`, ""},
		"before checksums": {`UPDATE schema_migration SET checksum = NULL`, ""},
		"newer":            {`INSERT INTO schema_migration (number, file) VALUES (9999, '9999_later.sql')`, "the schema is newer than this program: it has migration 9999_later.sql"},
		"other content":    {`UPDATE schema_migration SET checksum = 'x' WHERE number = 2`, "migration 0002_ledger.sql was applied with other content"},
		"unknown":          {`INSERT INTO schema_migration (number, file) VALUES (0, '0000_other.sql')`, "the schema has migration 0000_other.sql, which this program does not know"},
		"left out":         {`DELETE FROM schema_migration WHERE number = 2`, "migration 0002_ledger.sql is not noted"},
	} {
		pool := open(t)
		execute(t, pool, c.statement)
		err := postgres.Migrate(t.Context(), pool)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if n := count(t, pool, "schema_migration WHERE checksum IS NULL AND number BETWEEN 1 AND 9998"); n != 0 {
			t.Errorf("%s: %d without a checksum", name, n)
		}
	}
}

// A backup that reads all tables does not keep a control plane from its start.
func TestAStartDoesNotWaitForABackup(t *testing.T) {
	pool := openWith(t, url.Values{"lock_timeout": {"200"}})
	backup, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer backup.Rollback(t.Context())
	if _, err := backup.Exec(t.Context(), `LOCK TABLE schema_migration, catalog_version IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Error(err)
	}
}
