package telemetry

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// Readings are values that are looked up when metrics are collected.
type Readings struct {
	SnapshotVersion, SnapshotResources, SnapshotStreams, SnapshotOverflows func() int64
	OutboxLag, OutboxPublished                                             func() int64
	LedgerLag, LedgerRecords, LedgerEntries, LedgerDeadLetters             func() int64
	PoolInUse, PoolOpen                                                    func() int64
}

// Observe registers the readings.
func Observe(r Readings) error {
	meter := otel.Meter(meterName)
	var failure error
	gauge := func(name, unit, description string, read func() int64) {
		_, err := meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description), observing(read))
		if err != nil {
			failure = err
		}
	}
	counter := func(name, unit, description string, read func() int64) {
		_, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description), observing(read))
		if err != nil {
			failure = err
		}
	}
	gauge("hybrid.snapshot.version", "{version}", "Newest catalog version that is published to nodes.", r.SnapshotVersion)
	gauge("hybrid.snapshot.size", "{resource}", "Resources of the catalog.", r.SnapshotResources)
	gauge("hybrid.snapshot.streams", "{stream}", "Nodes that are connected.", r.SnapshotStreams)
	counter("hybrid.snapshot.overflows", "{stream}", "Streams ended because their queue was full.", r.SnapshotOverflows)
	gauge("hybrid.outbox.lag", "{message}", "Committed messages that are not published yet.", r.OutboxLag)
	counter("hybrid.outbox.published", "{message}", "Messages published.", r.OutboxPublished)
	gauge("hybrid.ledger.lag", "{record}", "Offsets that the ledger is behind the usage topic.", r.LedgerLag)
	counter("hybrid.ledger.records", "{record}", "Usage records booked.", r.LedgerRecords)
	counter("hybrid.ledger.entries", "{entry}", "Ledger entries booked.", r.LedgerEntries)
	counter("hybrid.ledger.dead_letters", "{record}", "Usage records that could not be read.", r.LedgerDeadLetters)
	gauge("hybrid.postgres.connections.used", "{connection}", "Connections of the pool in use.", r.PoolInUse)
	gauge("hybrid.postgres.connections.open", "{connection}", "Connections of the pool.", r.PoolOpen)
	return failure
}

type observable interface {
	metric.Int64ObservableGaugeOption
	metric.Int64ObservableCounterOption
}

func observing(read func() int64) observable {
	return metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(read())
		return nil
	})
}
