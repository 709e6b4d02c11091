// Package telemetry sets up traces, metrics and logs: OTLP over gRPC where an endpoint is set, and lines for people on
// standard error. The variables are those of the OpenTelemetry specification. Nothing in this package fails: telemetry that
// cannot be set up or sent is a warning among the lines.
package telemetry

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/grpclog"
)

// ServiceName is the name of this service unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES set another.
const ServiceName = "control-plane"

// Start sets the global providers and returns the log, and a function that flushes and ends all of it. Trace context is
// propagated even if nothing is exported.
//
// What libraries write to standard error on their own goes to the lines as well: nothing may wait there.
func Start(ctx context.Context, version string, level slog.Level, lines *Lines) (*slog.Logger, func(context.Context) error) {
	stdlog.SetOutput(lines)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, lines))
	log, stop := start(ctx, version, level, lines)
	newInstruments().observedCounter("hybrid.telemetry.lines.dropped", "{record}", "Lines of the log on stderr that nobody read in time.", lines.Dropped)
	return log, stop
}

func start(ctx context.Context, version string, level slog.Level, w io.Writer) (*slog.Logger, func(context.Context) error) {
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	lines := newLines(w, level)
	// What the SDK reports about itself is never exported: a failed export would cause the next one.
	sdk := &notices{log: slog.New(lines)}
	otel.SetErrorHandler(sdk)
	otel.SetLogger(logr.FromSlogHandler(sdkLog{sdk}))
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return slog.New(lines), func(context.Context) error { return nil }
	}

	of := describe(ctx, version)
	exports := &exports{log: slog.New(lines)}
	log := slog.New(lines)
	var stops []func(context.Context) error
	if exporter := exports.spans(ctx); exporter != nil {
		provider := sdktrace.NewTracerProvider(sdktrace.WithResource(of), sdktrace.WithBatcher(exporter))
		otel.SetTracerProvider(provider)
		stops = append(stops, provider.Shutdown)
	}
	if exporter := exports.metrics(ctx); exporter != nil {
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(of),
			sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithView(exponential))
		otel.SetMeterProvider(provider)
		stops = append(stops, provider.Shutdown)
		if err := runtime.Start(); err != nil {
			otel.Handle(err)
		}
	}
	if exporter := exports.logs(ctx); exporter != nil {
		provider := sdklog.NewLoggerProvider(sdklog.WithResource(of), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
		exported := leveled{otelslog.NewHandler(scope, otelslog.WithLoggerProvider(provider)), level}
		log = slog.New(slog.NewMultiHandler(lines, exported))
		stops = append(stops, provider.Shutdown)
	}
	return log, func(ctx context.Context) error {
		var all errgroup.Group
		for _, stop := range stops {
			all.Go(func() error { return stop(ctx) })
		}
		return all.Wait()
	}
}

// describe returns the resource that emits the telemetry. The instance id differs between processes, so that the metrics of
// two of them never overwrite each other.
func describe(ctx context.Context, version string) *resource.Resource {
	of, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", ServiceName),
			attribute.String("service.version", version),
			attribute.String("service.instance.id", uuid.NewString())),
		resource.WithTelemetrySDK(), resource.WithProcessPID(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		// The providers report malformed variables themselves.
		otel.Handle(err)
	}
	return of
}

// exponential makes every histogram an exponential one.
func exponential(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	if i.Kind != sdkmetric.InstrumentKindHistogram {
		return sdkmetric.Stream{}, false
	}
	return sdkmetric.Stream{Name: i.Name, Description: i.Description, Unit: i.Unit,
		Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}}, true
}
