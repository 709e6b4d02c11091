package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// values holds attributes as text.
func values(attributes []attribute.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range attributes {
		m[string(a.Key)] = a.Value.Emit()
	}
	return m
}

// Spans and metrics of requests follow the semantic conventions.
func TestRequestsAreObserved(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	h, _, _ := serve(t)
	for _, c := range []struct {
		method, path, body string
		name, route        string
		status, failure    string
	}{
		{"GET", "/v1/items/none", "", "GET /v1/items/{sku}", "/v1/items/{sku}", "404", ""},
		{"DELETE", "/v1/items/mug?version=1", "", "DELETE /v1/items/{sku}", "/v1/items/{sku}", "500", "500"},
		{"GET", "/v1/tax-rules/DE", "", "GET", "", "404", ""},
		{"PATCH", "/v1/items", "", "PATCH", "", "405", ""},
		{"POST", "/items", "{", "POST /items", "/items", "400", ""},
		{"GET", "/openapi.json", "", "GET /openapi.json", "/openapi.json", "200", ""},
		{"GET", "/nowhere", "", "GET", "", "404", ""},
		{"BREW", "/nowhere", "", "HTTP", "", "404", ""},
	} {
		spans.Reset()
		reader := sdkmetric.NewManualReader()
		otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		h, _, _ = serve(t)
		r := httptest.NewRequest(c.method, "http://shop.example:7100"+c.path, strings.NewReader(c.body))
		h.ServeHTTP(httptest.NewRecorder(), r)
		path, _, _ := strings.Cut(c.path, "?")
		common := map[string]string{"http.request.method": c.method, "http.response.status_code": c.status, "http.route": c.route,
			"server.address": "shop.example", "server.port": "7100", "url.scheme": "http", "error.type": c.failure}
		if c.method == "BREW" {
			common["http.request.method"] = "_OTHER"
		}

		recorded := spans.GetSpans()
		if len(recorded) != 1 || recorded[0].Name != c.name || recorded[0].SpanKind != oteltrace.SpanKindServer {
			t.Errorf("%s %s: spans %v", c.method, c.path, recorded)
			continue
		}
		got := values(recorded[0].Attributes)
		for key, want := range common {
			if got[key] != want {
				t.Errorf("%s %s: span has %s=%q, want %q", c.method, c.path, key, got[key], want)
			}
		}
		if got["url.path"] != path {
			t.Errorf("%s %s: url.path=%q", c.method, c.path, got["url.path"])
		}

		point := duration(t, reader)
		got = values(point.Attributes.ToSlice())
		for key, want := range common {
			if got[key] != want {
				t.Errorf("%s %s: the metric has %s=%q, want %q", c.method, c.path, key, got[key], want)
			}
		}
		if point.Count != 1 || got["url.path"] != "" {
			t.Errorf("%s %s: metric %v", c.method, c.path, point)
		}
	}
}

// duration finds the only point of the duration of requests, in seconds.
func duration(t *testing.T, reader sdkmetric.Reader) metricdata.HistogramDataPoint[float64] {
	t.Helper()
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "http.server.request.duration" && m.Unit == "s" && len(data.DataPoints) == 1 {
				return data.DataPoints[0]
			}
		}
	}
	t.Fatalf("no http.server.request.duration in %v", collected)
	return metricdata.HistogramDataPoint[float64]{}
}

func TestHealthIsNotTraced(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))
	h, _, ready := serve(t)
	ready.Complete("task", "")
	for _, path := range []string{"/livez", "/readyz"} {
		if w := ask(h, "GET", path, ""); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if recorded := spans.GetSpans(); len(recorded) != 0 {
		t.Errorf("spans %v", recorded)
	}
}
