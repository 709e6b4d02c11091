package backoff_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"hybrid/control-plane/internal/backoff"
)

func TestRetryReportsChangesAndCountsTheRest(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	var lines bytes.Buffer
	r := backoff.Retry{Work: "the work", Log: slog.New(slog.NewTextHandler(&lines, nil)), Backoff: backoff.Backoff{Base: time.Microsecond, Max: time.Microsecond}}
	ctx, cancel := context.WithCancel(t.Context())
	r.Succeeded(ctx)
	for range 2 {
		for range 5 {
			if err := r.Failed(ctx, errors.New("away")); err != nil {
				t.Fatal(err)
			}
		}
		r.Succeeded(ctx)
		r.Succeeded(ctx)
	}
	cancel()
	if err := r.Failed(ctx, errors.New("away")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	text := lines.String()
	if strings.Count(text, "level=WARN") != 2 || strings.Count(text, `msg="the work recovered" failures=5`) != 2 || strings.Count(text, "\n") != 4 {
		t.Errorf("lines:\n%s", text)
	}
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	sum, ok := collected.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64])
	if name := collected.ScopeMetrics[0].Metrics[0].Name; !ok || name != "hybrid.retries" || sum.DataPoints[0].Value != 10 {
		t.Errorf("%s: %+v", name, sum)
	}
	if work, _ := sum.DataPoints[0].Attributes.Value("hybrid.work"); work.AsString() != "the work" {
		t.Errorf("work %q", work.AsString())
	}
}
