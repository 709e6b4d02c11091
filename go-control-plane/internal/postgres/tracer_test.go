package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestOperationOfAStatement(t *testing.T) {
	for sql, want := range map[string]string{
		"":                                     "query ",
		"begin;":                               "BEGIN ",
		"select 1":                             "SELECT ",
		"INSERT INTO item (sku)\n VALUES ($1)": "INSERT item",
		"UPDATE catalog_version SET version = version + 1": "UPDATE catalog_version",
		"SELECT version FROM catalog_version FOR UPDATE":   "SELECT catalog_version",
		`DELETE FROM "item";`:                              "DELETE item",
		"SELECT q.x FROM (SELECT x FROM usage_record) q":   "SELECT usage_record",
		"SELECT x FROM": "SELECT ",
		"-- The catalog.\nCREATE TABLE item (sku text)": "SCRIPT ",
	} {
		if verb, table := operation(sql); verb+" "+table != want {
			t.Errorf("%q: %q, want %q", sql, verb+" "+table, want)
		}
	}
}

func TestFailuresHaveAType(t *testing.T) {
	for want, err := range map[string]error{
		"": nil, "23505": fmt.Errorf("insert: %w", &pgconn.PgError{Code: "23505"}), "canceled": context.Canceled,
		"timeout": context.DeadlineExceeded, "*errors.errorString": errors.New("odd"),
	} {
		got := ""
		for _, a := range failed(err) {
			if a.Key == "error.type" {
				got = a.Value.AsString()
			}
		}
		if got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
