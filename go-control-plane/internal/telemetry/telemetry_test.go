package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hybrid/control-plane/internal/telemetrytest"
)

// buffer is a writer whose text can be read meanwhile.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func flush(t *testing.T, stop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Error(err)
	}
}

func observeSevens() {
	seven := func() int64 { return 7 }
	Observe(Readings{SnapshotVersion: seven, SnapshotResources: seven, SnapshotStreams: seven, SnapshotBehind: seven,
		ConnectionsRefused: seven, OutboxLag: seven, OutboxPublished: seven, LedgerLag: seven, LedgerRecords: seven, LedgerEntries: seven, LedgerDeadLetters: seven, LedgerMissing: seven,
		LedgerAge: func() (time.Duration, bool) { return 2500 * time.Millisecond, true },
		Nodes: func() []Node {
			return []Node{{ID: "a", Connected: true, AppliedVersion: 5, ConfigAge: 1500 * time.Millisecond, Rejects: 2}, {ID: "b", AppliedVersion: 1}}
		},
		Pools: func() []Pool { return []Pool{{"db:5432/hybrid", 3, 4, 8, 1}} }})
}

func TestAllSignalsReachTheCollector(t *testing.T) {
	c := telemetrytest.Start(t, "127.0.0.1:0")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.Address)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-otlp-api-key=k%3Dey")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "team=shop")

	var lines buffer
	log, stop := start(t.Context(), "1.2.3", slog.LevelInfo, &lines)
	streams := NewStreams()
	streams.UpdateApplied(20 * time.Millisecond)
	streams.UpdateSent(true, 3)
	streams.Rejected(1)
	streams.StreamEnded("slow")
	observeSevens()
	ctx, span := otel.Tracer("test").Start(t.Context(), "a span")
	log.InfoContext(ctx, "a line", "key", "value")
	log.DebugContext(ctx, "below the level")
	span.End()
	flush(t, stop)

	r := c.Received()
	id := span.SpanContext().TraceID()
	if s := r.Span("a span"); string(s.GetTraceId()) != string(id[:]) {
		t.Errorf("span: %v", s)
	}
	if l := r.Log("a line"); string(l.GetTraceId()) != string(id[:]) || telemetrytest.Attribute(l.GetAttributes(), "key") != "value" {
		t.Errorf("log record: %v", l)
	}
	if l := r.Log("below the level"); l != nil {
		t.Errorf("exported although LOG_LEVEL is info: %v", l)
	}
	if line := lines.String(); !strings.Contains(line, `msg="a line" key=value trace_id=`+id.String()) || strings.Contains(line, "level=WARN") {
		t.Errorf("lines: %s", line)
	}
	if len(r.Headers) != 3 {
		t.Errorf("%d requests", len(r.Headers))
	}
	for _, h := range r.Headers {
		if fmt.Sprint(h.Get("x-otlp-api-key")) != "[k=ey]" {
			t.Errorf("headers %v", h)
		}
	}
	for _, of := range r.Resources {
		attribute := func(key string) string { return telemetrytest.Attribute(of.GetAttributes(), key) }
		if attribute("service.name") != "control-plane" || attribute("service.version") != "1.2.3" || attribute("team") != "shop" ||
			len(attribute("service.instance.id")) != 36 || attribute("service.instance.id") != telemetrytest.Attribute(r.Resources[0].GetAttributes(), "service.instance.id") {
			t.Errorf("resource %v", of)
		}
	}
	for name, want := range map[string]string{
		"hybrid.snapshot.version": "{version} gauge map[:7]", "hybrid.snapshot.size": "{resource} gauge map[:7]",
		"hybrid.snapshot.streams": "{stream} gauge map[:7]", "hybrid.snapshot.streams.behind": "{version} gauge map[:7]",
		"hybrid.snapshot.updates":   "{update} sum map[authoritative=true:1]",
		"hybrid.snapshot.resources": "{resource} sum map[:3]", "hybrid.snapshot.rejects": "{resource} sum map[:1]",
		"hybrid.snapshot.streams.ended": "{stream} sum map[cause=slow:1]", "hybrid.snapshot.convergence": "s exponential map[:0.02]",
		"hybrid.outbox.lag": "{message} gauge map[:7]", "hybrid.outbox.published": "{message} sum map[:7]",
		"hybrid.ledger.lag": "{record} gauge map[:7]", "hybrid.ledger.records": "{record} sum map[:7]",
		"hybrid.ledger.entries": "{entry} sum map[:7]", "hybrid.ledger.dead_letters": "{record} sum map[:7]",
		"hybrid.ledger.age":                 "s gauge map[:2.5]",
		"hybrid.fleet.nodes":                "{node} gauge map[hybrid.node.connected=false:1 hybrid.node.connected=true:1]",
		"hybrid.fleet.node.applied_version": "{version} gauge map[hybrid.node.id=a:5]",
		"hybrid.fleet.node.config_age":      "s gauge map[hybrid.node.id=a:1.5]",
		"hybrid.fleet.node.rejects":         "{resource} gauge map[hybrid.node.id=a:2]",
		"db.client.connection.count": "{connection} sum map[db.client.connection.pool.name=db:5432/hybrid,db.client.connection.state=idle:4 " +
			"db.client.connection.pool.name=db:5432/hybrid,db.client.connection.state=used:3]",
		"db.client.connection.max":      "{connection} sum map[db.client.connection.pool.name=db:5432/hybrid:8]",
		"db.client.connection.timeouts": "{timeout} sum map[db.client.connection.pool.name=db:5432/hybrid:1]",
	} {
		if got := describeMetric(r.Metric(name)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
	if r.Metric("go.goroutine.count") == nil {
		t.Error("no metrics of the runtime")
	}
}

// describeMetric writes unit, kind, and the points by their attributes.
func describeMetric(m *metricspb.Metric) string {
	points := map[string]any{}
	add := func(point *metricspb.NumberDataPoint) {
		var attributes []string
		for _, a := range point.GetAttributes() {
			value := a.GetValue().GetStringValue()
			if value == "" {
				value = fmt.Sprint(a.GetValue().GetBoolValue())
			}
			attributes = append(attributes, a.GetKey()+"="+value)
		}
		var value any = point.GetAsInt()
		if _, double := point.GetValue().(*metricspb.NumberDataPoint_AsDouble); double {
			value = point.GetAsDouble()
		}
		points[strings.Join(attributes, ",")] = value
	}
	kind := "none"
	switch data := m.GetData().(type) {
	case *metricspb.Metric_Gauge:
		kind = "gauge"
		for _, p := range data.Gauge.GetDataPoints() {
			add(p)
		}
	case *metricspb.Metric_Sum:
		kind = "sum"
		for _, p := range data.Sum.GetDataPoints() {
			add(p)
		}
	case *metricspb.Metric_ExponentialHistogram:
		kind = "exponential"
		for _, p := range data.ExponentialHistogram.GetDataPoints() {
			points[""] = p.GetSum()
		}
	}
	return fmt.Sprintln(m.GetUnit(), kind, points)[:len(fmt.Sprintln(m.GetUnit(), kind, points))-1]
}

func TestNamesFromTheEnvironment(t *testing.T) {
	c := telemetrytest.Start(t, "127.0.0.1:0")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.Address)
	t.Setenv("OTEL_SERVICE_NAME", "renamed")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=one")
	_, stop := start(t.Context(), "", slog.LevelInfo, io.Discard)
	_, span := otel.Tracer("test").Start(t.Context(), "a span")
	span.End()
	flush(t, stop)
	of := c.Received().Resources[0].GetAttributes()
	if telemetrytest.Attribute(of, "service.name") != "renamed" || telemetrytest.Attribute(of, "service.instance.id") != "one" {
		t.Errorf("resource %v", of)
	}
}

func TestInstancesDiffer(t *testing.T) {
	a, b := describe(t.Context(), ""), describe(t.Context(), "")
	if idA, _ := a.Set().Value("service.instance.id"); idA.AsString() == "" {
		t.Error("no service.instance.id")
	} else if idB, _ := b.Set().Value("service.instance.id"); idA == idB {
		t.Errorf("twice %s", idA.AsString())
	}
}

func TestSignalsHaveTheirOwnEndpoints(t *testing.T) {
	c := telemetrytest.Start(t, "127.0.0.1:0")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"+c.Address)
	log, stop := start(t.Context(), "", slog.LevelInfo, io.Discard)
	ctx, span := otel.Tracer("test").Start(t.Context(), "a span")
	log.InfoContext(ctx, "a line")
	span.End()
	flush(t, stop)
	if r := c.Received(); len(r.Spans) != 1 || len(r.Logs) != 0 || len(r.Metrics) != 0 {
		t.Errorf("%d spans, %d log records, %d metrics", len(r.Spans), len(r.Logs), len(r.Metrics))
	}
}

func TestSamplerFromTheEnvironment(t *testing.T) {
	c := telemetrytest.Start(t, "127.0.0.1:0")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.Address)
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
	_, stop := start(t.Context(), "", slog.LevelInfo, io.Discard)
	_, span := otel.Tracer("test").Start(t.Context(), "a root")
	span.End()
	remote := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	_, span = otel.Tracer("test").Start(otel.GetTextMapPropagator().Extract(t.Context(), remote), "a child")
	span.End()
	flush(t, stop)
	if r := c.Received(); len(r.Spans) != 1 || r.Span("a child") == nil {
		t.Errorf("spans %v", r.Spans)
	}
}

func TestNothingIsSent(t *testing.T) {
	for name, c := range map[string]struct {
		variable, value string
		warnings        int
	}{
		"no endpoint": {"OTEL_EXPORTER_OTLP_ENDPOINT", "", 0},
		"disabled":    {"OTEL_SDK_DISABLED", "TRUE", 0},
		"HTTP":        {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", 1},
		"not a URL":   {"OTEL_EXPORTER_OTLP_ENDPOINT", "::", 1},
		"no scheme":   {"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317", 1},
		"no host":     {"OTEL_EXPORTER_OTLP_ENDPOINT", "http:///x", 1},
	} {
		t.Run(name, func(t *testing.T) {
			collector := telemetrytest.Start(t, "127.0.0.1:0")
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+collector.Address)
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
			t.Setenv(c.variable, c.value)
			var lines buffer
			log, stop := start(t.Context(), "", slog.LevelInfo, &lines)
			ctx, span := otel.Tracer("test").Start(t.Context(), "a span")
			log.InfoContext(ctx, "a line")
			span.End()
			flush(t, stop)
			if r := collector.Received(); len(r.Headers) != 0 {
				t.Errorf("received %v", r)
			}
			text := lines.String()
			if strings.Count(text, "level=WARN") != c.warnings || (c.warnings > 0 && !strings.Contains(text, c.variable)) {
				t.Errorf("lines:\n%s", text)
			}
		})
	}
}

func TestNoneSwitchesASignalOff(t *testing.T) {
	c := telemetrytest.Start(t, "127.0.0.1:0")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.Address)
	t.Setenv("OTEL_LOGS_EXPORTER", "none")
	t.Setenv("OTEL_METRICS_EXPORTER", "prometheus")
	var lines buffer
	log, stop := start(t.Context(), "", slog.LevelInfo, &lines)
	ctx, span := otel.Tracer("test").Start(t.Context(), "a span")
	log.InfoContext(ctx, "a line")
	span.End()
	flush(t, stop)
	if r := c.Received(); len(r.Spans) != 1 || len(r.Logs)+len(r.Metrics) != 0 {
		t.Errorf("%d spans, %d log records, %d metrics", len(r.Spans), len(r.Logs), len(r.Metrics))
	}
	if text := lines.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "OTEL_METRICS_EXPORTER") {
		t.Errorf("lines:\n%s", text)
	}
}

func TestMalformedSettingsAreWarnings(t *testing.T) {
	c := telemetrytest.Start(t, "127.0.0.1:0")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.Address)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", filepath.Join(t.TempDir(), "missing.pem"))
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "hunter2,a=%zzhunter3")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no equals sign")
	t.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	var lines buffer
	log, stop := start(t.Context(), "", slog.LevelInfo, &lines)
	log.Info("a line")
	flush(t, stop)
	if c.Received().Log("a line") == nil {
		t.Error("the rest is not exported")
	}
	text := lines.String()
	for _, part := range []string{"missing.pem", "parse headers", "no equals sign", "sometimes"} {
		if !strings.Contains(text, part) {
			t.Errorf("nothing about %s", part)
		}
	}
	if strings.Contains(text, "hunter") || strings.Contains(text, "level=ERROR") {
		t.Errorf("lines:\n%s", text)
	}
}

// A collector that is away is one warning, its return one more line, and neither is exported.
func TestOutageOfTheCollector(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+address)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "50")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	t.Setenv("OTEL_BLRP_SCHEDULE_DELAY", "20")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
	defer func(usual time.Duration) { settled = usual }(settled)
	settled = 3 * time.Second
	var lines buffer
	log, stop := start(t.Context(), "", slog.LevelDebug, &lines)
	emit := func() {
		ctx, span := otel.Tracer("test").Start(t.Context(), "a span")
		log.InfoContext(ctx, "a line")
		span.End()
	}
	for range 20 {
		emit()
		time.Sleep(10 * time.Millisecond)
	}
	eventually(t, "the warning", func() bool { return strings.Contains(lines.String(), "level=WARN") })
	c := telemetrytest.Start(t, address)
	eventually(t, "the telemetry", func() bool {
		emit()
		r := c.Received()
		return len(r.Spans) > 0 && len(r.Metrics) > 0 && len(r.Logs) > 0 && strings.Contains(lines.String(), "telemetry is exported again")
	})
	flush(t, stop)
	text := lines.String()
	if strings.Count(text, "level=WARN") != 1 || strings.Count(text, "exported again") != 1 || !strings.Contains(text, "connection refused") {
		t.Error("lines:")
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "a line") {
				t.Log(line)
			}
		}
	}
	for _, l := range c.Received().Logs {
		if body := l.GetBody().GetStringValue(); body != "a line" {
			t.Errorf("exported %q", body)
		}
	}
	if m := c.Received().Metric("hybrid.telemetry.export.failures"); m == nil {
		t.Error("failures are not counted")
	}
}

// What fails for good beside what works is one warning, not an alternation.
func TestStateOfExports(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://elsewhere:4317")
	defer func(usual time.Duration) { settled = usual }(settled)
	settled = 0
	away, refused := status.Error(codes.Unavailable, "away"), fmt.Errorf("export: %w", status.Error(codes.Unimplemented, "no logs"))
	for name, c := range map[string]struct {
		do   func(e *exports)
		want string
	}{
		"fine":             {func(e *exports) { e.ended(t.Context(), traces, nil) }, ""},
		"one outage":       {func(e *exports) { e.ended(t.Context(), traces, away); e.ended(t.Context(), logs, away) }, "W"},
		"known by another": {func(e *exports) { e.ended(t.Context(), traces, away); e.ended(t.Context(), logs, nil) }, "WI"},
		"other endpoint":   {func(e *exports) { e.ended(t.Context(), traces, away); e.ended(t.Context(), metrics, nil) }, "W"},
		"both endpoints": {func(e *exports) {
			e.ended(t.Context(), traces, away)
			e.ended(t.Context(), metrics, away)
			e.ended(t.Context(), traces, nil)
			e.ended(t.Context(), metrics, nil)
		}, "WI"},
		"for good": {func(e *exports) {
			for range 5 {
				e.ended(t.Context(), logs, refused)
				e.ended(t.Context(), traces, nil)
			}
		}, "W"},
		"interrupted": {func(e *exports) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			e.ended(ctx, traces, context.Canceled)
		}, ""},
		"not settled": {func(e *exports) {
			settled = time.Hour
			defer func() { settled = 0 }()
			e.ended(t.Context(), traces, away)
			e.ended(t.Context(), logs, nil)
			e.ended(t.Context(), traces, away)
		}, "W"},
		"mended": {func(e *exports) {
			e.ended(t.Context(), logs, errors.New("odd"))
			e.ended(t.Context(), traces, nil)
			e.ended(t.Context(), logs, nil)
		}, "WI"},
	} {
		var lines buffer
		c.do(&exports{log: slog.New(slog.NewTextHandler(&lines, nil))})
		var got string
		for line := range strings.Lines(lines.String()) {
			_, level, _ := strings.Cut(line, "level=")
			got += level[:1]
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestNoticesComeOnce(t *testing.T) {
	var lines buffer
	n := &notices{log: slog.New(slog.NewTextHandler(&lines, nil))}
	n.Handle(fmt.Errorf("collect: %w", context.Canceled))
	for i := range 2 * maxNotices {
		n.Handle(errors.New("the same"))
		n.Handle(fmt.Errorf("number %d", i))
	}
	if got := strings.Count(lines.String(), "\n"); got != maxNotices || strings.Count(lines.String(), "the same") != 1 || strings.Contains(lines.String(), "canceled") {
		t.Errorf("%d lines", got)
	}
}
