package telemetry

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// scope is the instrumentation scope of this program's own telemetry.
const scope = "hybrid/control-plane"

// instruments makes instruments. One that cannot be made is reported and does nothing.
type instruments struct {
	meter metric.Meter
}

func newInstruments() instruments { return instruments{otel.Meter(scope)} }

func made[I any](instrument I, err error) I {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

func (i instruments) counter(name, unit, description string) metric.Int64Counter {
	return made(i.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description)))
}

func (i instruments) histogram(name, unit, description string) metric.Float64Histogram {
	return made(i.meter.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description)))
}

func (i instruments) observedGauge(name, unit, description string, read func() int64) {
	made(i.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description), observing(read)))
}

func (i instruments) observedCounter(name, unit, description string, read func() int64) {
	made(i.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description), observing(read)))
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
