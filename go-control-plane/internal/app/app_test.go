//go:build unix

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	moneyv1 "hybrid/control-plane/gen/hybrid/money/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/kafkatest"
	"hybrid/control-plane/internal/postgres"
	"hybrid/control-plane/internal/postgrestest"
	"hybrid/control-plane/internal/readiness"
)

// spans has the spans of all tests, reader their metrics.
var (
	spans  = tracetest.NewInMemoryExporter()
	reader = sdkmetric.NewManualReader()
)

func TestMain(m *testing.M) {
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans), trace.WithSampler(trace.ParentBased(trace.NeverSample()))))
	os.Exit(postgrestest.Run(m))
}

// running is a control plane under test.
type running struct {
	http  string
	conn  *grpc.ClientConn
	lines *testWriter
	plane *plane
	stop  func() error
}

func run(t *testing.T, c config.Config) *running {
	t.Helper()
	lines := &testWriter{t: t}
	log := slog.New(slog.NewTextHandler(lines, nil))
	pools, err := postgres.OpenPools(t.Context(), c.Postgres, postgres.NewTracer())
	if err != nil {
		t.Fatal(err)
	}
	p := assemble(c, pools, log)
	p.usage.Patience = time.Second
	p.measure(new(atomic.Int64))
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	h, g := listen(), listen()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, h, g) }()
	conn, err := grpc.NewClient(g.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	r := &running{lines: lines, plane: p, http: "http://" + h.Addr().String(), conn: conn, stop: func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		err := <-done
		conn.Close()
		pools.Close()
		return err
	}}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return r
}

// testWriter writes to the log of a test, and keeps the text.
type testWriter struct {
	t    *testing.T
	mu   sync.Mutex
	text strings.Builder
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(p), "\n"))
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// count returns how often a text was written.
func (w *testWriter) count(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.text.String(), text)
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *running) get(t *testing.T, path string, into any) int {
	t.Helper()
	return r.do(t, "GET", path, "", into)
}

func (r *running) do(t *testing.T, method, path, body string, into any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.http+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, content)
		}
	}
	return response.StatusCode
}

func (r *running) ready(t *testing.T) bool {
	return r.get(t, "/readyz", nil) == http.StatusOK
}

func (r *running) report(t *testing.T) readiness.Report {
	t.Helper()
	var report readiness.Report
	r.get(t, "/readyz", &report)
	return report
}

func (r *running) serving(t *testing.T) bool {
	t.Helper()
	state, err := healthv1.NewHealthClient(r.conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return state.GetStatus() == healthv1.HealthCheckResponse_SERVING
}

// noKafka is an address where nothing answers.
func noKafka(t *testing.T) []string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return []string{l.Addr().String()}
}

// fakeNode is a data plane of the test's.
type fakeNode struct {
	t      *testing.T
	stream grpc.BidiStreamingClient[snapshotv1.StreamSnapshotRequest, snapshotv1.StreamSnapshotResponse]
}

func connect(t *testing.T, r *running, hello *snapshotv1.Hello) *fakeNode {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	stream, err := snapshotv1.NewSnapshotServiceClient(r.conn).StreamSnapshot(ctx, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{t, stream}
	n.send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Hello{Hello: hello}})
	return n
}

func (n *fakeNode) send(m *snapshotv1.StreamSnapshotRequest) {
	n.t.Helper()
	if err := n.stream.Send(m); err != nil {
		n.t.Fatal(err)
	}
}

// update waits for the next update, and joins its parts.
func (n *fakeNode) update() *snapshotv1.Update {
	n.t.Helper()
	var whole *snapshotv1.Update
	for {
		m, err := n.stream.Recv()
		if err != nil {
			n.t.Fatal(err)
		}
		if m.GetHeartbeat() != nil {
			n.heartbeat()
			continue
		}
		part := m.GetUpdate()
		if whole == nil {
			whole = part
		} else {
			if part.GetNonce() != whole.GetNonce() {
				n.t.Fatalf("part of %s within %s", part.GetNonce(), whole.GetNonce())
			}
			whole.Upserts = append(whole.Upserts, part.GetUpserts()...)
			whole.Removals = append(whole.Removals, part.GetRemovals()...)
		}
		if !part.GetMoreFollows() {
			return whole
		}
	}
}

func (n *fakeNode) heartbeat() {
	n.send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Heartbeat{Heartbeat: &snapshotv1.Heartbeat{}}})
}

func (n *fakeNode) ack(u *snapshotv1.Update, rejects ...*snapshotv1.Reject) {
	n.send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Ack{Ack: &snapshotv1.Ack{
		Nonce: u.GetNonce(), Version: u.GetVersion(), Digest: u.GetDigest(), Rejects: rejects, AppliedAt: timestamppb.Now()}}})
}

func item(sku string, minor int64) *catalogv1.Item {
	return &catalogv1.Item{Sku: sku, Name: "The " + sku, UnitPrice: &moneyv1.Money{CurrencyCode: "EUR", MinorUnits: minor}}
}

func TestNodesFollowTheCatalog(t *testing.T) {
	c := config.Config{Postgres: postgrestest.Database(t), Kafka: noKafka(t)}
	r := run(t, c)
	items := catalogv1.NewCatalogServiceClient(r.conn)
	ctx := t.Context()
	var mug *catalogv1.Item
	eventually(t, "the catalog takes writes without Kafka", func() bool {
		created, err := items.CreateItem(ctx, &catalogv1.CreateItemRequest{Item: item("mug", 1050)})
		mug = created.GetItem()
		return err == nil
	})
	if r.ready(t) || r.serving(t) {
		t.Error("ready without Kafka")
	}
	fleet := fleetv1.NewFleetServiceClient(r.conn)
	eventually(t, "the publisher has the item", func() bool {
		nodes, err := fleet.ListNodes(ctx, &fleetv1.ListNodesRequest{})
		return err == nil && nodes.GetCurrentVersion() == mug.GetVersion()
	})

	n := connect(t, r, &snapshotv1.Hello{NodeId: "node-1", SoftwareVersion: "test"})
	first := n.update()
	if !first.GetAuthoritative() || first.GetVersion() != mug.GetVersion() || len(first.GetUpserts()) != 1 ||
		!proto.Equal(first.GetUpserts()[0].GetItem(), mug) {
		t.Fatalf("first update: %v", first)
	}
	n.ack(first)

	// A change comes as a delta of just itself; the node rejects it, and the fleet says so.
	pen, err := items.CreateItem(ctx, &catalogv1.CreateItemRequest{Item: item("pen", 5)})
	if err != nil {
		t.Fatal(err)
	}
	delta := n.update()
	if delta.GetAuthoritative() || len(delta.GetUpserts()) != 1 || delta.GetUpserts()[0].GetItem().GetSku() != "pen" {
		t.Fatalf("delta: %v", delta)
	}
	key := &snapshotv1.ResourceKey{Type: snapshotv1.ResourceType_RESOURCE_TYPE_ITEM, Name: "pen"}
	n.ack(delta, &snapshotv1.Reject{Key: key, Version: pen.GetItem().GetVersion(), Field: "name", Code: "NAME_ODD", Text: "odd"})
	state := func() *fleetv1.Node {
		m, err := fleet.GetNode(ctx, &fleetv1.GetNodeRequest{NodeId: "node-1"})
		if err != nil {
			t.Fatal(err)
		}
		return m.GetNode()
	}
	eventually(t, "the reject is known", func() bool {
		s := state()
		return s.GetAppliedVersion() == delta.GetVersion() && len(s.GetRejects()) == 1 && s.GetRejects()[0].GetCode() == "NAME_ODD"
	})

	// A removal clears the reject.
	if _, err := items.DeleteItem(ctx, &catalogv1.DeleteItemRequest{Sku: "pen", Version: pen.GetItem().GetVersion()}); err != nil {
		t.Fatal(err)
	}
	removal := n.update()
	if len(removal.GetUpserts()) != 0 || len(removal.GetRemovals()) != 1 || removal.GetRemovals()[0].GetName() != "pen" {
		t.Fatalf("removal: %v", removal)
	}
	n.ack(removal)
	eventually(t, "the reject is gone", func() bool { return len(state().GetRejects()) == 0 })
	if removal.GetDigest() != first.GetDigest() {
		t.Errorf("digest %x after add and remove, was %x", removal.GetDigest(), first.GetDigest())
	}

	eventually(t, "the outage of Kafka is reported", func() bool { return r.lines.count("creation of the Kafka topics failed") > 0 })
	if r.lines.count("node rejected a resource") != 1 || r.lines.count("level=WARN") != 2 {
		t.Error("the outage of Kafka and the reject are one warning each")
	}
	age := r.plane.publisher.Age
	if nodes := r.plane.nodes(); len(nodes) != 1 || nodes[0].AppliedVersion != removal.GetVersion() || nodes[0].ConfigAge != 0 ||
		age(first.GetVersion(), time.Now().Add(time.Hour)) < time.Hour {
		t.Errorf("nodes: %+v", nodes)
	}

	// After a restart of the control plane a node that tells what it holds gets only what differs.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = run(t, c)
	items = catalogv1.NewCatalogServiceClient(r.conn)
	var cup *catalogv1.CreateItemResponse
	eventually(t, "the catalog takes writes again", func() bool {
		created, err := items.CreateItem(ctx, &catalogv1.CreateItemRequest{Item: item("cup", 700)})
		cup = created
		return err == nil
	})
	fleet = fleetv1.NewFleetServiceClient(r.conn)
	eventually(t, "the publisher has the new item", func() bool {
		nodes, err := fleet.ListNodes(ctx, &fleetv1.ListNodesRequest{})
		return err == nil && nodes.GetCurrentVersion() == cup.GetItem().GetVersion()
	})
	eventually(t, "a held state is answered with a delta", func() bool {
		stream, err := snapshotv1.NewSnapshotServiceClient(r.conn).StreamSnapshot(ctx)
		if err != nil {
			return false
		}
		n = &fakeNode{t, stream}
		n.send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Hello{Hello: &snapshotv1.Hello{
			NodeId: "node-1", HeldVersion: delta.GetVersion(), HeldDigest: delta.GetDigest()}}})
		u := n.update()
		return !u.GetAuthoritative() && len(u.GetRemovals()) == 1 && len(u.GetUpserts()) == 1
	})
	unknown := connect(t, r, &snapshotv1.Hello{NodeId: "node-2", HeldVersion: delta.GetVersion(), HeldDigest: delta.GetDigest() + 1})
	if u := unknown.update(); !u.GetAuthoritative() || len(u.GetUpserts()) != 2 {
		t.Errorf("an unknown state was answered with %v", u)
	}
}

func TestSilentNodeIsCutOff(t *testing.T) {
	r := run(t, config.Config{Postgres: postgrestest.Database(t), Kafka: noKafka(t)})
	eventually(t, "the stream is served", func() bool {
		stream, err := snapshotv1.NewSnapshotServiceClient(r.conn).StreamSnapshot(t.Context())
		if err != nil {
			return false
		}
		hello := &snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Hello{Hello: &snapshotv1.Hello{NodeId: "mute"}}}
		if err := stream.Send(hello); err != nil {
			return false
		}
		for {
			if _, err = stream.Recv(); err != nil {
				return status.Code(err) == codes.DeadlineExceeded
			}
		}
	})
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// spansOf gives the names of the spans of a trace, and the parent of each.
func spansOf(parent string) map[string]string {
	found := map[string]string{}
	for _, s := range spans.GetSpans() {
		if s.SpanContext.TraceID().String() == parent[3:35] {
			found[s.Name] = s.Parent.SpanID().String()
		}
	}
	return found
}

func TestTraceCrossesHTTPPostgresAndOutbox(t *testing.T) {
	uri := postgrestest.Database(t)
	r := run(t, config.Config{Postgres: uri, Kafka: noKafka(t)})
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	eventually(t, "an item is created", func() bool {
		body := `{"sku":"mug","name":"Mug","unitPrice":{"currencyCode":"EUR","minorUnits":"1050"}}`
		request, err := http.NewRequestWithContext(t.Context(), "POST", r.http+"/v1/items", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("traceparent", parent)
		request.Header.Set("tracestate", "vendor=outbox")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	eventually(t, "its spans are there", func() bool {
		traced := spansOf(parent)
		return traced["POST /v1/items"] == parent[36:52] && traced["INSERT item"] != "" && traced["UPDATE catalog_version"] != ""
	})
	for _, s := range spans.GetSpans() {
		if s.Name != "INSERT item" {
			continue
		}
		has := attribute.NewSet(s.Attributes...)
		for key, want := range map[attribute.Key]string{"db.system.name": "postgresql", "db.operation.name": "INSERT", "db.collection.name": "item", "server.address": "127.0.0.1"} {
			if got, _ := has.Value(key); got.AsString() != want {
				t.Errorf("%s is %q, want %q", key, got.AsString(), want)
			}
		}
	}
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	units := map[string]string{}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			units[m.Name] = m.Unit
		}
	}
	for name, unit := range map[string]string{"db.client.operation.duration": "s", "db.client.connection.count": "{connection}",
		"db.client.connection.max": "{connection}", "hybrid.outbox.lag": "{message}", "hybrid.fleet.nodes": "{node}", "http.server.request.duration": "s"} {
		if units[name] != unit {
			t.Errorf("unit of %s: %q, want %q", name, units[name], unit)
		}
	}
	pool, err := postgres.Open(t.Context(), uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var headers string
	if err := pool.QueryRow(t.Context(), "SELECT headers::text FROM outbox").Scan(&headers); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(headers, parent[:35]) || !strings.Contains(headers, "vendor=outbox") {
		t.Errorf("the message's headers %s lack the trace", headers)
	}
}

func TestLoopThroughKafka(t *testing.T) {
	broker := kafkatest.Start(t)
	server, uri := postgrestest.Start(t)
	r := run(t, config.Config{Postgres: uri, Kafka: []string{broker.Address}})
	eventually(t, "ready", func() bool { return r.ready(t) && r.serving(t) })
	ctx := t.Context()
	client := catalogv1.NewCatalogServiceClient(r.conn)
	promotion := &catalogv1.Promotion{
		PromotionId: "half", Name: "Half", Discount: &catalogv1.Promotion_PercentOffPpm{PercentOffPpm: 500_000},
		Budget: &moneyv1.Money{CurrencyCode: "EUR", MinorUnits: 250},
	}
	created, err := client.CreatePromotion(ctx, &catalogv1.CreatePromotionRequest{Promotion: promotion})
	if err != nil {
		t.Fatal(err)
	}
	n := connect(t, r, &snapshotv1.Hello{NodeId: "node-1"})
	u := n.update()
	n.ack(u)
	for u.GetVersion() < created.GetPromotion().GetVersion() {
		u = n.update()
		n.ack(u)
	}

	// Usage is booked once, poison goes to the dead letters, and the partition goes on.
	traced := []sarama.RecordHeader{{Key: []byte("traceparent"), Value: []byte(traceparent)}, {Key: []byte("tracestate"), Value: []byte("vendor=usage")}}
	produce(t, broker, 0, usage(t, 100), traced...)
	produce(t, broker, 0, []byte("\xff\xff no usage"), traced...)
	produce(t, broker, 0, usage(t, 100))
	booked := func() (quotes, discount int64) {
		var totals struct {
			Totals []struct {
				Quotes        int64 `json:"quotes,string"`
				DiscountMinor int64 `json:"discountMinor,string"`
			}
		}
		if r.get(t, "/v1/ledger/totals", &totals) != http.StatusOK || len(totals.Totals) != 1 {
			return 0, 0
		}
		return totals.Totals[0].Quotes, totals.Totals[0].DiscountMinor
	}
	bookedIs := func(quotes, discount int64) func() bool {
		return func() bool { q, d := booked(); return q == quotes && d == discount }
	}
	eventually(t, "two records are booked", bookedIs(2, 200))
	eventually(t, "the booking belongs to the trace of its record", func() bool {
		traced := spansOf(traceparent)
		return traced["process hybrid.usage.v1"] == traceparent[36:52] && traced["COPY ledger_entry"] != ""
	})
	dead := consume(t, broker, contract.UsageTopic+contract.DeadLetterSuffix, 1)[0]
	if string(dead.Value) != "\xff\xff no usage" || header(dead, "dead-letter-offset") != "1" || header(dead, "dead-letter-reason") == "" ||
		header(dead, "traceparent") != traceparent || header(dead, "tracestate") != "vendor=usage" {
		t.Errorf("dead letter: %v", dead)
	}

	// Both servers die and return; what comes meanwhile is booked later, and once. On partition 3 the ledger is ahead of the
	// log, as when the broker has lost its data: it goes on with what is there, once that is certain.
	forget, err := postgres.Open(ctx, uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer forget.Close()
	if _, err := forget.Exec(ctx, `INSERT INTO consumer_offset VALUES ($1, 3, 50)`, contract.UsageTopic); err != nil {
		t.Fatal(err)
	}
	broker.Kill()
	eventually(t, "writes need no Kafka", func() bool {
		withTrace := metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent, "tracestate", "vendor=write")
		_, err := client.CreateItem(withTrace, &catalogv1.CreateItemRequest{Item: item("mug", 1050)})
		return err == nil
	})
	server.Kill(t)
	eventually(t, "calls say that the store is away", func() bool {
		_, err := client.GetItem(ctx, &catalogv1.GetItemRequest{Sku: "mug"})
		return status.Code(err) == codes.Unavailable
	})
	eventually(t, "not ready without Postgres", func() bool { return !r.ready(t) })
	broker.Run(t)
	produce(t, broker, 1, usage(t, 100))
	server.Restart(t)
	eventually(t, "ready again", func() bool { return r.ready(t) })
	eventually(t, "the third record is booked", bookedIs(3, 300))

	// The budget is reached: the promotion is exhausted, and the node hears of it.
	current, err := client.GetPromotion(ctx, &catalogv1.GetPromotionRequest{PromotionId: "half"})
	if err != nil {
		t.Fatal(err)
	}
	if p := current.GetPromotion(); !p.GetExhausted() || p.GetSpentMinor() != 300 {
		t.Errorf("promotion: %v", p)
	}
	again := connect(t, r, &snapshotv1.Hello{NodeId: "node-1", HeldVersion: u.GetVersion(), HeldDigest: u.GetDigest()})
	for heard := false; !heard; {
		for _, resource := range again.update().GetUpserts() {
			heard = heard || resource.GetPromotion().GetExhausted()
		}
	}

	// The outbox held the write that Kafka missed.
	var keys []string
	for _, m := range consume(t, broker, contract.CatalogTopic, 3) {
		keys = append(keys, string(m.Key))
		if string(m.Key) == "item/mug" && (!strings.HasPrefix(header(m, "traceparent"), traceparent[:35]) || header(m, "tracestate") != "vendor=write") {
			t.Errorf("headers of %s: %v", m.Key, m.Headers)
		}
		if header(m, "ce_type") != "hybrid.catalog.changed.v1" {
			t.Errorf("headers of %s: %v", m.Key, m.Headers)
		}
	}
	if want := "[promotion/half item/mug promotion/half]"; fmt.Sprint(keys) != want {
		t.Errorf("published %v, want %s", keys, want)
	}

	// What takes the places of lost records is booked.
	eventually(t, "the ledger goes on where the log ends", func() bool {
		var next int64
		err := forget.QueryRow(ctx, `SELECT next_offset FROM consumer_offset WHERE topic = $1 AND kafka_partition = 3`, contract.UsageTopic).Scan(&next)
		return err == nil && next == 0
	})
	produce(t, broker, 3, usage(t, 100))
	eventually(t, "the fourth record is booked", bookedIs(4, 400))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

func usage(t *testing.T, discount int64) []byte {
	t.Helper()
	start := time.Now().UTC().Truncate(10 * time.Second)
	value, err := proto.Marshal(&usagev1.UsageWindow{
		WindowStart: timestamppb.New(start), WindowEnd: timestamppb.New(start.Add(10 * time.Second)),
		CurrencyCode: "EUR", Jurisdiction: "DE", Quotes: 1,
		Lines: []*usagev1.UsageLine{{Sku: "mug", PromotionId: "half", Lines: 1, Quantity: 1, DiscountMinor: discount, NetMinor: 100, TaxMinor: 19, GrossMinor: 119}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// produce sends a record of usage.
func produce(t *testing.T, broker *kafkatest.Broker, partition int32, value []byte, headers ...sarama.RecordHeader) {
	t.Helper()
	send(t, broker, contract.UsageTopic, partition, value, headers...)
}

func send(t *testing.T, broker *kafkatest.Broker, topic string, partition int32, value []byte, headers ...sarama.RecordHeader) {
	t.Helper()
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Metadata.Retry.Max = 20
	producer, err := sarama.NewSyncProducer([]string{broker.Address}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: partition, Value: sarama.ByteEncoder(value), Headers: headers}); err != nil {
		t.Fatal(err)
	}
}

// consume reads the first n records of a topic's partition 0.
func consume(t *testing.T, broker *kafkatest.Broker, topic string, n int) []*sarama.ConsumerMessage {
	t.Helper()
	consumer, err := sarama.NewConsumer([]string{broker.Address}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer partition.Close()
	var messages []*sarama.ConsumerMessage
	timeout := time.After(30 * time.Second)
	for len(messages) < n {
		select {
		case m := <-partition.Messages():
			messages = append(messages, m)
		case <-timeout:
			t.Fatalf("%d of %d records in %s", len(messages), n, topic)
		}
	}
	return messages
}

func header(m *sarama.ConsumerMessage, name string) string {
	for _, h := range m.Headers {
		if string(h.Key) == name {
			return string(h.Value)
		}
	}
	return ""
}
