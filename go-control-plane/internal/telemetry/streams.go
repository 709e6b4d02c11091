package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const meterName = "hybrid/control-plane"

// Streams measures the snapshot streams.
type Streams struct {
	updates, resources, rejects, ended metric.Int64Counter
	convergence                        metric.Float64Histogram
}

// Init makes the instruments. It comes before all use.
func (s *Streams) Init() error {
	meter := otel.Meter(meterName)
	var failure error
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		if err != nil {
			failure = err
		}
		return c
	}
	s.updates = counter("hybrid.snapshot.updates", "{update}", "Updates sent to nodes.")
	s.resources = counter("hybrid.snapshot.resources", "{resource}", "Resources sent to nodes, removals included.")
	s.rejects = counter("hybrid.snapshot.rejects", "{resource}", "Resources that nodes rejected.")
	s.ended = counter("hybrid.snapshot.streams.ended", "{stream}", "Streams that ended, by cause.")
	var err error
	s.convergence, err = meter.Float64Histogram("hybrid.snapshot.convergence", metric.WithUnit("s"),
		metric.WithDescription("From the commit of a version to its application by a node."))
	if err != nil {
		failure = err
	}
	return failure
}

// UpdateSent counts an update.
func (s *Streams) UpdateSent(authoritative bool, resources int) {
	ctx := context.Background()
	s.updates.Add(ctx, 1, metric.WithAttributes(attribute.Bool("authoritative", authoritative)))
	s.resources.Add(ctx, int64(resources))
}

// UpdateApplied measures the convergence.
func (s *Streams) UpdateApplied(afterCommit time.Duration) {
	s.convergence.Record(context.Background(), afterCommit.Seconds())
}

// Rejected counts resources.
func (s *Streams) Rejected(resources int) {
	s.rejects.Add(context.Background(), int64(resources))
}

// StreamEnded counts a stream.
func (s *Streams) StreamEnded(cause string) {
	s.ended.Add(context.Background(), 1, metric.WithAttributes(attribute.String("cause", cause)))
}
