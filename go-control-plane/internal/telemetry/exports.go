package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// signal is a kind of telemetry, by its name in the variables.
type signal string

const (
	traces  signal = "TRACES"
	metrics signal = "METRICS"
	logs    signal = "LOGS"
)

// setting returns the variable of the signal, or the one of all signals, and its value.
func (s signal) setting(name string) (variable, value string) {
	variable = "OTEL_EXPORTER_OTLP_" + string(s) + "_" + name
	if value = os.Getenv(variable); value == "" {
		variable = "OTEL_EXPORTER_OTLP_" + name
		value = os.Getenv(variable)
	}
	return variable, value
}

// exported reports whether the signal is to be exported. The rest of the settings is read by the exporters themselves.
func (s signal) exported() bool {
	variable, endpoint := s.setting("ENDPOINT")
	if endpoint == "" {
		return false
	}
	exporter := "OTEL_" + string(s) + "_EXPORTER"
	switch os.Getenv(exporter) {
	case "", "otlp":
	case "none":
		return false
	default:
		otel.Handle(fmt.Errorf("%s: only otlp and none are supported; the signal is not exported", exporter))
		return false
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		otel.Handle(fmt.Errorf("%s: it must be a URL like http://localhost:4317; the signals that use it are not exported", variable))
		return false
	}
	if variable, protocol := s.setting("PROTOCOL"); protocol != "" && protocol != "grpc" {
		otel.Handle(fmt.Errorf("%s: %q is not supported, only grpc is; the signals that use it are not exported", variable, protocol))
		return false
	}
	return true
}

// exports makes the exporters, and reports when they begin to fail and when they work again. The failures in between are
// counted.
type exports struct {
	// log must not be exported.
	log *slog.Logger

	mu sync.Mutex
	// failing holds the endpoints that are unreachable and the signals that fail for another reason, with the time of the last
	// failure.
	failing  map[string]time.Time
	failures metric.Int64Counter
}

// reconnect bounds the pause between attempts to connect. Each signal has its own connection; after settled without a failure
// all of them have reconnected.
var (
	reconnect = grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}}
	settled   = 10 * time.Second
)

func (e *exports) spans(ctx context.Context) sdktrace.SpanExporter {
	if !traces.exported() {
		return nil
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithDialOption(grpc.WithConnectParams(reconnect)))
	if err != nil {
		otel.Handle(err)
		return nil
	}
	return spanExporter{exporter, e}
}

func (e *exports) metrics(ctx context.Context) sdkmetric.Exporter {
	if !metrics.exported() {
		return nil
	}
	exporter, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithDialOption(grpc.WithConnectParams(reconnect)))
	if err != nil {
		otel.Handle(err)
		return nil
	}
	return metricExporter{exporter, e}
}

func (e *exports) logs(ctx context.Context) sdklog.Exporter {
	if !logs.exported() {
		return nil
	}
	exporter, err := otlploggrpc.New(ctx, otlploggrpc.WithDialOption(grpc.WithConnectParams(reconnect)))
	if err != nil {
		otel.Handle(err)
		return nil
	}
	return logExporter{exporter, e}
}

// ended notes how an export of the signal ended.
func (e *exports) ended(ctx context.Context, s signal, err error) {
	_, endpoint := s.setting("ENDPOINT")
	e.mu.Lock()
	defer e.mu.Unlock()
	before := len(e.failing)
	if err == nil {
		delete(e.failing, string(s))
		if time.Since(e.failing[endpoint]) >= settled {
			delete(e.failing, endpoint)
		}
		if before > 0 && len(e.failing) == 0 {
			e.log.Info("telemetry is exported again", "endpoint", endpoint)
		}
		return
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		// The shutdown interrupted the export. It exports what is left once more.
		return
	}
	cause := string(s)
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		cause = endpoint
	}
	if e.failing == nil {
		e.failing = map[string]time.Time{}
		e.failures = newInstruments().counter("hybrid.telemetry.export.failures", "{export}", "Exports of telemetry that failed.")
	}
	e.failing[cause] = time.Now()
	if before == 0 {
		e.log.Warn("telemetry cannot be exported and is dropped until it can", "signal", s, "endpoint", endpoint, "error", err)
	}
	e.failures.Add(ctx, 1, metric.WithAttributes(attribute.String("hybrid.telemetry.signal", string(s))))
}

// The exporters below report how each export ended. They hide its error from the SDK, which would report it again.

type spanExporter struct {
	sdktrace.SpanExporter
	exports *exports
}

func (x spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	x.exports.ended(ctx, traces, x.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

type metricExporter struct {
	sdkmetric.Exporter
	exports *exports
}

func (x metricExporter) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	x.exports.ended(ctx, metrics, x.Exporter.Export(ctx, data))
	return nil
}

type logExporter struct {
	sdklog.Exporter
	exports *exports
}

func (x logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	x.exports.ended(ctx, logs, x.Exporter.Export(ctx, records))
	return nil
}
