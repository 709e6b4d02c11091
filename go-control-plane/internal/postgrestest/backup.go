//go:build unix

package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Backup copies a database. The returned function puts the copy in its place, as after a restore of a dump: connections are
// ended, and the database has another identity.
func Backup(t testing.TB, uri string) (restore func()) {
	t.Helper()
	parsed, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(parsed.Path, "/")
	saved := "saved_" + uuid.NewString()[:8]
	parsed.Path = "/postgres"
	run := func(statements ...string) {
		t.Helper()
		conn, err := pgx.Connect(context.Background(), parsed.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for _, statement := range statements {
			if _, err := conn.Exec(context.Background(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	alone := []string{
		fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS false", name),
		fmt.Sprintf("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '%s'", name),
	}
	run(append(alone, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", saved, name), fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS true", name))...)
	return func() {
		t.Helper()
		run(append(alone, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name), fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, saved))...)
	}
}

// BackupInPlace keeps a copy of all rows in the database itself. The returned function puts them back in one transaction,
// together with the statements that it is given. Nothing but the rows tells that this has happened.
func BackupInPlace(t testing.TB, uri string) (restore func(statements ...string)) {
	t.Helper()
	ctx := context.Background()
	run := func(statements ...string) {
		t.Helper()
		conn, err := pgx.Connect(ctx, uri)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			for _, statement := range statements {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return fmt.Errorf("%s: %w", statement, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	const each = `DO $do$ DECLARE t record; c text; BEGIN
		FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP %s END LOOP; END $do$`
	run(`CREATE SCHEMA saved`, fmt.Sprintf(each, `EXECUTE format('CREATE TABLE saved.%I AS TABLE public.%I', t.tablename, t.tablename);`))
	return func(statements ...string) {
		t.Helper()
		run(append([]string{
			`SET LOCAL session_replication_role = replica`,
			fmt.Sprintf(each, `EXECUTE format('DELETE FROM public.%I', t.tablename);`),
			fmt.Sprintf(each, `SELECT string_agg(quote_ident(attname), ', ') INTO c FROM pg_attribute
				WHERE attrelid = format('public.%I', t.tablename)::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
				EXECUTE format('INSERT INTO public.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM saved.%I', t.tablename, c, c, t.tablename);`),
		}, statements...)...)
	}
}
