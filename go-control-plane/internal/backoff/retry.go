package backoff

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Retry reports and paces the attempts of background work. The log gets one warning when the work begins to fail and one
// line when it succeeds again, however many attempts fail in between; the metric hybrid.retries counts each of them.
// A Retry is not safe for concurrent use.
type Retry struct {
	// Work names what is retried: in the log, and as the attribute hybrid.work of the metric.
	Work string
	Log  *slog.Logger
	// Backoff is the pace of the attempts.
	Backoff

	// failures is how many attempts in a row have failed, failedAt when the last of them did.
	failures int
	failedAt time.Time
}

// Failed reports a failed attempt and waits until the next one is due. It returns the error of ctx if that ends first; a
// failure after the end of ctx is a consequence of it and is not reported.
func (r *Retry) Failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.failures == 0 {
		r.Log.WarnContext(ctx, r.Work+" failed; retrying until it succeeds", "error", err)
	}
	if time.Since(r.failedAt) > settled {
		r.Reset()
	}
	r.failures++
	r.failedAt = time.Now()
	retries().Add(ctx, 1, metric.WithAttributes(attribute.String("hybrid.work", r.Work)))
	return r.Wait(ctx)
}

// Succeeded reports a successful attempt. If no failure follows within 10 seconds, the wait after the next one is short
// again; work that alternates between success and failure keeps the longer waits.
func (r *Retry) Succeeded(ctx context.Context) {
	if r.failures > 0 {
		r.Log.InfoContext(ctx, r.Work+" recovered", "failures", r.failures)
	}
	r.failures = 0
}

const settled = 10 * time.Second

// retries is made on first use; the global meter passes it on to the provider that is set by then or later.
var retries = sync.OnceValue(func() metric.Int64Counter {
	counter, err := otel.Meter("hybrid/control-plane").Int64Counter("hybrid.retries", metric.WithUnit("{attempt}"),
		metric.WithDescription("Failed attempts of background work, each followed by another attempt."))
	if err != nil {
		otel.Handle(err)
	}
	return counter
})
