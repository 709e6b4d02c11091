package grpcapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	"hybrid/control-plane/internal/catalog"
)

// Spans and metrics of calls follow the semantic conventions, of which otelgrpc knows two generations: rpc.system, rpc.service
// and a numeric code, or rpc.system.name, a full method and the name of the code.
func TestCallsAreObserved(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	reader := sdkmetric.NewManualReader()
	otel.SetTracerProvider(provider)
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	s := serve(t, failing{err: catalog.ErrNotFound})
	if _, err := healthv1.NewHealthClient(s.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := catalogv1.NewCatalogServiceClient(s.conn).GetItem(t.Context(), &catalogv1.GetItemRequest{Sku: "x"}); err == nil {
		t.Fatal("found")
	}
	// The span ends after the answer has left.
	for deadline := time.Now().Add(10 * time.Second); len(spans.GetSpans()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no span")
		}
	}
	check := func(what string, attributes []attribute.KeyValue) {
		t.Helper()
		got := map[string]string{}
		for _, a := range attributes {
			got[string(a.Key)] = a.Value.Emit()
		}
		system := got["rpc.system"] + got["rpc.system.name"]
		method := strings.TrimPrefix(got["rpc.service"]+"/"+got["rpc.method"], "/")
		status := got["rpc.response.status_code"] + got["rpc.grpc.status_code"]
		if system != "grpc" || method != "hybrid.catalog.v1.CatalogService/GetItem" || (status != "NOT_FOUND" && status != "5") {
			t.Errorf("%s: %v", what, got)
		}
	}
	recorded := spans.GetSpans()
	if len(recorded) != 1 || recorded[0].Name != "hybrid.catalog.v1.CatalogService/GetItem" || recorded[0].SpanKind != oteltrace.SpanKindServer {
		t.Fatalf("spans %v", recorded)
	}
	check("span", recorded[0].Attributes)
	if text := fmt.Sprint(recorded[0].Attributes); !strings.Contains(text, "127.0.0.1") {
		t.Errorf("no server.address in %s", text)
	}

	// The duration is recorded after the span.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		var collected metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &collected); err != nil {
			t.Fatal(err)
		}
		if name, points := durations(collected); len(points) == 1 {
			check(name, points[0].Attributes.ToSlice())
			return
		} else if len(points) > 1 || time.Now().After(deadline) {
			t.Fatalf("durations %v", points)
		}
	}
}

func durations(collected metricdata.ResourceMetrics) (name string, points []metricdata.HistogramDataPoint[float64]) {
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			data, ok := m.Data.(metricdata.Histogram[float64])
			if ok && (m.Name == "rpc.server.call.duration" || m.Name == "rpc.server.duration") {
				name, points = m.Name, append(points, data.DataPoints...)
			}
		}
	}
	return name, points
}
