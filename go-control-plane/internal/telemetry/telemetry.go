// Package telemetry sets up traces, metrics and logs: OpenTelemetry over OTLP where an endpoint is set, and lines for people
// on standard error.
package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// ServiceName is the name of this service where OTEL_SERVICE_NAME sets no other.
const ServiceName = "control-plane"

// Start sets the global providers and gives the log, and what flushes and ends all of it. Without an endpoint nothing is
// exported, but contexts of traces are passed on all the same.
func Start(ctx context.Context, version string, level slog.Level) (*slog.Logger, func(context.Context) error, error) {
	return start(ctx, version, level, os.Stderr)
}

func start(ctx context.Context, version string, level slog.Level, lines io.Writer) (*slog.Logger, func(context.Context) error, error) {
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	forPeople := newLines(lines, level)
	log := slog.New(forPeople)
	// Failures of the exporters must not flood the log.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Debug("telemetry", "error", err) }))
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return log, func(context.Context) error { return nil }, nil
	}
	of, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", ServiceName), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithProcessPID(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return log, nil, err
	}
	spans, err := otlptracegrpc.New(ctx)
	if err != nil {
		return log, nil, err
	}
	metrics, err := otlpmetricgrpc.New(ctx)
	if err != nil {
		return log, nil, err
	}
	logs, err := otlploggrpc.New(ctx)
	if err != nil {
		return log, nil, err
	}
	tracing := sdktrace.NewTracerProvider(sdktrace.WithResource(of), sdktrace.WithBatcher(spans))
	metering := sdkmetric.NewMeterProvider(sdkmetric.WithResource(of), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics)),
		sdkmetric.WithView(exponential))
	logging := sdklog.NewLoggerProvider(sdklog.WithResource(of), sdklog.WithProcessor(sdklog.NewBatchProcessor(logs)))
	otel.SetTracerProvider(tracing)
	otel.SetMeterProvider(metering)
	if err := runtime.Start(); err != nil {
		return log, nil, err
	}
	exported := otelslog.NewHandler("hybrid/control-plane", otelslog.WithLoggerProvider(logging))
	log = slog.New(slog.NewMultiHandler(forPeople, exported))
	stop := func(ctx context.Context) error {
		return errors.Join(tracing.Shutdown(ctx), metering.Shutdown(ctx), logging.Shutdown(ctx))
	}
	return log, stop, nil
}

// exponential makes every histogram an exponential one.
func exponential(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	if i.Kind != sdkmetric.InstrumentKindHistogram {
		return sdkmetric.Stream{}, false
	}
	return sdkmetric.Stream{Name: i.Name, Description: i.Description, Unit: i.Unit,
		Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}}, true
}
