// Package telemetrytest receives OTLP over gRPC in tests.
package telemetrytest

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	logsv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Received is what a collector has received.
type Received struct {
	Spans   []*tracepb.Span
	Metrics []*metricspb.Metric
	Logs    []*logspb.LogRecord
	// Resources has the resource of each part of a request, Headers the metadata of each request.
	Resources []*resourcepb.Resource
	Headers   []metadata.MD
}

// Collector receives all three signals.
type Collector struct {
	// Address is host:port.
	Address string

	server   *grpc.Server
	mu       sync.Mutex
	received Received
}

// Start starts a collector at the address, and stops it with the test. Port 0 selects a free one.
func Start(t testing.TB, address string, options ...grpc.ServerOption) *Collector {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{Address: listener.Addr().String(), server: grpc.NewServer(options...)}
	tracev1.RegisterTraceServiceServer(c.server, traces{collector: c})
	metricsv1.RegisterMetricsServiceServer(c.server, metrics{collector: c})
	logsv1.RegisterLogsServiceServer(c.server, logs{collector: c})
	go c.server.Serve(listener)
	t.Cleanup(c.server.Stop)
	return c
}

// Received returns everything so far.
func (c *Collector) Received() Received {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.received
	return Received{slices.Clone(r.Spans), slices.Clone(r.Metrics), slices.Clone(r.Logs), slices.Clone(r.Resources), slices.Clone(r.Headers)}
}

// Span returns the first span of this name, or nil.
func (r Received) Span(name string) *tracepb.Span {
	return first(r.Spans, func(s *tracepb.Span) bool { return s.GetName() == name })
}

// Metric returns the last metric of this name, or nil.
func (r Received) Metric(name string) *metricspb.Metric {
	slices.Reverse(r.Metrics)
	defer slices.Reverse(r.Metrics)
	return first(r.Metrics, func(m *metricspb.Metric) bool { return m.GetName() == name })
}

// Log returns the first log record with this text, or nil.
func (r Received) Log(text string) *logspb.LogRecord {
	return first(r.Logs, func(l *logspb.LogRecord) bool { return l.GetBody().GetStringValue() == text })
}

// Attribute returns the string value of an attribute; empty if there is none.
func Attribute(attributes []*commonpb.KeyValue, key string) string {
	return first(attributes, func(a *commonpb.KeyValue) bool { return a.GetKey() == key }).GetValue().GetStringValue()
}

func first[T any](list []*T, wanted func(*T) bool) *T {
	if i := slices.IndexFunc(list, wanted); i >= 0 {
		return list[i]
	}
	return nil
}

// Certificate returns a certificate for 127.0.0.1 that is its own authority, and a PEM file of that authority.
func Certificate(t testing.TB) (certificate tls.Certificate, authority string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	authority = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return server.TLS.Certificates[0], authority
}

func (c *Collector) add(ctx context.Context, add func(*Received)) {
	headers, _ := metadata.FromIncomingContext(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received.Headers = append(c.received.Headers, headers)
	add(&c.received)
}

type traces struct {
	tracev1.UnimplementedTraceServiceServer
	collector *Collector
}

func (s traces) Export(ctx context.Context, r *tracev1.ExportTraceServiceRequest) (*tracev1.ExportTraceServiceResponse, error) {
	s.collector.add(ctx, func(all *Received) {
		for _, part := range r.GetResourceSpans() {
			all.Resources = append(all.Resources, part.GetResource())
			for _, scope := range part.GetScopeSpans() {
				all.Spans = append(all.Spans, scope.GetSpans()...)
			}
		}
	})
	return &tracev1.ExportTraceServiceResponse{}, nil
}

type metrics struct {
	metricsv1.UnimplementedMetricsServiceServer
	collector *Collector
}

func (s metrics) Export(ctx context.Context, r *metricsv1.ExportMetricsServiceRequest) (*metricsv1.ExportMetricsServiceResponse, error) {
	s.collector.add(ctx, func(all *Received) {
		for _, part := range r.GetResourceMetrics() {
			all.Resources = append(all.Resources, part.GetResource())
			for _, scope := range part.GetScopeMetrics() {
				all.Metrics = append(all.Metrics, scope.GetMetrics()...)
			}
		}
	})
	return &metricsv1.ExportMetricsServiceResponse{}, nil
}

type logs struct {
	logsv1.UnimplementedLogsServiceServer
	collector *Collector
}

func (s logs) Export(ctx context.Context, r *logsv1.ExportLogsServiceRequest) (*logsv1.ExportLogsServiceResponse, error) {
	s.collector.add(ctx, func(all *Received) {
		for _, part := range r.GetResourceLogs() {
			all.Resources = append(all.Resources, part.GetResource())
			for _, scope := range part.GetScopeLogs() {
				all.Logs = append(all.Logs, scope.GetLogRecords()...)
			}
		}
	})
	return &logsv1.ExportLogsServiceResponse{}, nil
}
