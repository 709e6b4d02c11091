package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
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

// An empty result is no failure; everything else fails the span, and both are measured.
func TestEndOfAnOperation(t *testing.T) {
	for err, status := range map[error]codes.Code{nil: codes.Unset, pgx.ErrNoRows: codes.Unset, io.ErrUnexpectedEOF: codes.Error} {
		spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
		otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
		otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		tracer := NewTracer()
		ctx, span := tracer.tracer.Start(t.Context(), "SELECT item")
		tracer.end(context.WithValue(ctx, operationKey{}, &started{at: time.Now(), span: span}), err)
		if s := spans.GetSpans(); len(s) != 1 || s[0].Status.Code != status || (len(s[0].Attributes) > 0) != (status == codes.Error) {
			t.Errorf("%v: spans %v", err, s)
		}
		var collected metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &collected); err != nil {
			t.Fatal(err)
		}
		data, ok := collected.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64])
		if !ok || data.DataPoints[0].Count != 1 || data.DataPoints[0].Attributes.HasValue("error.type") != (status == codes.Error) {
			t.Errorf("%v: metrics %v", err, collected.ScopeMetrics[0].Metrics)
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
