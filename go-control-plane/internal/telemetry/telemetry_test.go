package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	logsv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// collector keeps the names of what it is sent.
type collector struct {
	tracev1.UnimplementedTraceServiceServer
	mu                     sync.Mutex
	spans, metrics, traces map[string]string
}

func (c *collector) Export(_ context.Context, r *tracev1.ExportTraceServiceRequest) (*tracev1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, a := range resource.GetResource().GetAttributes() {
			c.spans[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans[s.GetName()] = string(s.GetTraceId())
			}
		}
	}
	return &tracev1.ExportTraceServiceResponse{}, nil
}

type metricCollector struct {
	metricsv1.UnimplementedMetricsServiceServer
	*collector
}

func (c metricCollector) Export(_ context.Context, r *metricsv1.ExportMetricsServiceRequest) (*metricsv1.ExportMetricsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				kind := "other"
				if m.GetExponentialHistogram() != nil {
					kind = "exponential"
				}
				c.metrics[m.GetName()] = kind
			}
		}
	}
	return &metricsv1.ExportMetricsServiceResponse{}, nil
}

type logCollector struct {
	logsv1.UnimplementedLogsServiceServer
	*collector
}

func (c logCollector) Export(_ context.Context, r *logsv1.ExportLogsServiceRequest) (*logsv1.ExportLogsServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, l := range scope.GetLogRecords() {
				c.traces[l.GetBody().GetStringValue()] = string(l.GetTraceId())
			}
		}
	}
	return &logsv1.ExportLogsServiceResponse{}, nil
}

func TestAllSignalsReachTheCollector(t *testing.T) {
	c := &collector{spans: map[string]string{}, metrics: map[string]string{}, traces: map[string]string{}}
	server := grpc.NewServer()
	tracev1.RegisterTraceServiceServer(server, c)
	metricsv1.RegisterMetricsServiceServer(server, metricCollector{collector: c})
	logsv1.RegisterLogsServiceServer(server, logCollector{collector: c})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Stop()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_SERVICE_NAME", "renamed")

	var lines bytes.Buffer
	log, stop, err := start(t.Context(), "1.2.3", slog.LevelInfo, &lines)
	if err != nil {
		t.Fatal(err)
	}
	var streams Streams
	if err := streams.Init(); err != nil {
		t.Fatal(err)
	}
	streams.UpdateApplied(20 * time.Millisecond)
	streams.UpdateSent(true, 3)
	streams.StreamEnded("slow")
	seven := func() int64 { return 7 }
	err = Observe(Readings{SnapshotVersion: seven, SnapshotResources: seven, SnapshotStreams: seven, SnapshotOverflows: seven,
		OutboxLag: seven, OutboxPublished: seven, LedgerLag: seven, LedgerRecords: seven, LedgerEntries: seven, LedgerDeadLetters: seven,
		PoolInUse: seven, PoolOpen: seven})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := otel.Tracer("test").Start(t.Context(), "a span")
	log.InfoContext(ctx, "a line", "key", "value")
	span.End()
	flushing, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := stop(flushing); err != nil {
		t.Fatal(err)
	}

	id := span.SpanContext().TraceID()
	if c.spans["a span"] != string(id[:]) || c.spans["service.name"] != "renamed" || c.spans["service.version"] != "1.2.3" {
		t.Errorf("spans: %v", c.spans)
	}
	if c.traces["a line"] != string(id[:]) {
		t.Errorf("logs: %v", c.traces)
	}
	for _, name := range []string{"hybrid.snapshot.version", "hybrid.snapshot.streams", "hybrid.snapshot.updates", "hybrid.snapshot.streams.ended",
		"hybrid.outbox.lag", "hybrid.ledger.lag", "hybrid.ledger.records", "hybrid.ledger.dead_letters", "go.goroutine.count"} {
		if c.metrics[name] == "" {
			t.Errorf("no metric %s in %v", name, c.metrics)
		}
	}
	if c.metrics["hybrid.snapshot.convergence"] != "exponential" {
		t.Errorf("convergence is %q", c.metrics["hybrid.snapshot.convergence"])
	}
	if line := lines.String(); !strings.Contains(line, `msg="a line" key=value trace_id=`+id.String()) {
		t.Errorf("line: %s", line)
	}
}

func TestNothingIsExportedWithoutAnEndpoint(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	_, stop, err := start(t.Context(), "", slog.LevelInfo, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(t.Context()); err != nil {
		t.Error(err)
	}
}
