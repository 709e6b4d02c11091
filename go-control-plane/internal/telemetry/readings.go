package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Readings are values that are read whenever metrics are collected.
type Readings struct {
	SnapshotVersion, SnapshotResources, SnapshotStreams, SnapshotBehind       func() int64
	ConnectionsRefused                                                        func() int64
	OutboxLag, OutboxPublished                                                func() int64
	LedgerLag, LedgerRecords, LedgerEntries, LedgerDeadLetters, LedgerMissing func() int64
	// LedgerAge returns false where it is not known.
	LedgerAge func() (time.Duration, bool)
	Nodes     func() []Node
	Pools     func() []Pool
}

// Node is what is known of one node of the fleet.
type Node struct {
	ID        string
	Connected bool
	// Elsewhere is true if another control plane has its stream, and measures it.
	Elsewhere bool
	// AppliedVersion prices the node's quotes. ConfigAge is the time since the commit of the oldest version that the node has
	// not applied; 0 if there is none.
	AppliedVersion int64
	ConfigAge      time.Duration
	// Rejects is the number of resources that the node rejects at present.
	Rejects int
}

// Pool is the state of a connection pool of Postgres.
type Pool struct {
	// Name identifies the pool.
	Name            string
	Used, Idle, Max int64
	// Timeouts counts the requests for a connection that were given up.
	Timeouts int64
}

// Observe registers the readings with the global meter provider.
func Observe(r Readings) {
	i := newInstruments()
	i.observedGauge("hybrid.snapshot.version", "{version}", "Newest catalog version that is published to nodes.", r.SnapshotVersion)
	i.observedGauge("hybrid.snapshot.size", "{resource}", "Resources of the catalog.", r.SnapshotResources)
	i.observedGauge("hybrid.snapshot.streams", "{stream}", "Connected nodes.", r.SnapshotStreams)
	i.observedGauge("hybrid.snapshot.streams.behind", "{version}", "Versions that the slowest stream has not been sent yet.", r.SnapshotBehind)
	i.observedGauge("hybrid.outbox.lag", "{message}", "Committed messages that are not published yet.", r.OutboxLag)
	i.observedCounter("hybrid.connections.refused", "{connection}", "Connections beyond the limit.", r.ConnectionsRefused)
	i.observedCounter("hybrid.outbox.published", "{message}", "Messages published.", r.OutboxPublished)
	i.observedGauge("hybrid.ledger.lag", "{record}", "Offsets that the ledger is behind the usage topic; 0 when all is booked.", r.LedgerLag)
	i.observedCounter("hybrid.ledger.records", "{record}", "Usage records booked.", r.LedgerRecords)
	i.observedCounter("hybrid.ledger.entries", "{entry}", "Ledger entries booked.", r.LedgerEntries)
	i.observedCounter("hybrid.ledger.dead_letters", "{record}", "Usage records that could not be read.", r.LedgerDeadLetters)
	i.observedCounter("hybrid.ledger.missing", "{record}", "Offsets of the usage topic that were lost before they were booked. Markers of transactions are among them.", r.LedgerMissing)
	i.observeLedgerAge(r.LedgerAge)
	i.observeFleet(r.Nodes)
	i.observePools(r.Pools)
}

func (i instruments) observeLedgerAge(read func() (time.Duration, bool)) {
	age := made(i.meter.Float64ObservableGauge("hybrid.ledger.age", metric.WithUnit("s"),
		metric.WithDescription("Age of the ledger's watermark: all quotes whose events Kafka had that long ago are booked.")))
	i.observe(func(o metric.Observer) {
		if value, known := read(); known {
			o.ObserveFloat64(age, value.Seconds())
		}
	}, age)
}

func (i instruments) observeFleet(read func() []Node) {
	nodes := made(i.meter.Int64ObservableGauge("hybrid.fleet.nodes", metric.WithUnit("{node}"),
		metric.WithDescription("Nodes ever seen, by whether they are connected.")))
	applied := made(i.meter.Int64ObservableGauge("hybrid.fleet.node.applied_version", metric.WithUnit("{version}"),
		metric.WithDescription("Catalog version that prices the quotes of a connected node.")))
	age := made(i.meter.Float64ObservableGauge("hybrid.fleet.node.config_age", metric.WithUnit("s"),
		metric.WithDescription("Time since the commit of the oldest version that a connected node has not applied.")))
	rejects := made(i.meter.Int64ObservableGauge("hybrid.fleet.node.rejects", metric.WithUnit("{resource}"),
		metric.WithDescription("Resources that a connected node rejects at present.")))
	i.observe(func(o metric.Observer) {
		count := map[bool]int64{}
		for _, n := range read() {
			count[n.Connected]++
			if !n.Connected || n.Elsewhere {
				continue
			}
			id := metric.WithAttributes(attribute.String("hybrid.node.id", n.ID))
			o.ObserveInt64(applied, n.AppliedVersion, id)
			o.ObserveFloat64(age, n.ConfigAge.Seconds(), id)
			o.ObserveInt64(rejects, int64(n.Rejects), id)
		}
		for _, connected := range []bool{true, false} {
			o.ObserveInt64(nodes, count[connected], metric.WithAttributes(attribute.Bool("hybrid.node.connected", connected)))
		}
	}, nodes, applied, age, rejects)
}

// observePools uses the names of the semantic conventions for database client metrics.
func (i instruments) observePools(read func() []Pool) {
	count := made(i.meter.Int64ObservableUpDownCounter("db.client.connection.count", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections of the pool, by state.")))
	limit := made(i.meter.Int64ObservableUpDownCounter("db.client.connection.max", metric.WithUnit("{connection}"),
		metric.WithDescription("Largest allowed number of open connections.")))
	timeouts := made(i.meter.Int64ObservableCounter("db.client.connection.timeouts", metric.WithUnit("{timeout}"),
		metric.WithDescription("Requests for a connection that were given up.")))
	i.observe(func(o metric.Observer) {
		for _, p := range read() {
			name := attribute.String("db.client.connection.pool.name", p.Name)
			o.ObserveInt64(count, p.Used, metric.WithAttributes(name, attribute.String("db.client.connection.state", "used")))
			o.ObserveInt64(count, p.Idle, metric.WithAttributes(name, attribute.String("db.client.connection.state", "idle")))
			o.ObserveInt64(limit, p.Max, metric.WithAttributes(name))
			o.ObserveInt64(timeouts, p.Timeouts, metric.WithAttributes(name))
		}
	}, count, limit, timeouts)
}

func (i instruments) observe(read func(metric.Observer), of ...metric.Observable) {
	_, err := i.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		read(o)
		return nil
	}, of...)
	if err != nil {
		otel.Handle(err)
	}
}
