package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Streams measures the snapshot streams.
type Streams struct {
	updates, resources, rejects, ended metric.Int64Counter
	convergence                        metric.Float64Histogram
}

// NewStreams makes the instruments with the global meter provider.
func NewStreams() *Streams {
	i := newInstruments()
	return &Streams{
		updates:     i.counter("hybrid.snapshot.updates", "{update}", "Updates sent to nodes."),
		resources:   i.counter("hybrid.snapshot.resources", "{resource}", "Resources sent to nodes, removals included."),
		rejects:     i.counter("hybrid.snapshot.rejects", "{resource}", "Resources that nodes rejected."),
		ended:       i.counter("hybrid.snapshot.streams.ended", "{stream}", "Streams that ended, by cause."),
		convergence: i.histogram("hybrid.snapshot.convergence", "s", "Time from the commit of a version until a node has applied it."),
	}
}

// UpdateSent counts an update and its resources.
func (s *Streams) UpdateSent(authoritative bool, resources int) {
	ctx := context.Background()
	s.updates.Add(ctx, 1, metric.WithAttributes(attribute.Bool("authoritative", authoritative)))
	s.resources.Add(ctx, int64(resources))
}

// UpdateApplied records the time from the commit of a version until a node has applied it.
func (s *Streams) UpdateApplied(afterCommit time.Duration) {
	s.convergence.Record(context.Background(), afterCommit.Seconds())
}

// Rejected counts the resources that a node rejected.
func (s *Streams) Rejected(resources int) {
	s.rejects.Add(context.Background(), int64(resources))
}

// StreamEnded counts a stream by the cause of its end.
func (s *Streams) StreamEnded(cause string) {
	s.ended.Add(context.Background(), 1, metric.WithAttributes(attribute.String("cause", cause)))
}
