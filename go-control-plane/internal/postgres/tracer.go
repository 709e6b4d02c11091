package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Tracer measures every statement, and makes a span of each that is part of a sampled trace; statements of background work
// have none. It follows the semantic conventions for database clients.
type Tracer struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
}

// NewTracer uses the global providers.
func NewTracer() *Tracer {
	const scope = "hybrid/control-plane/postgres"
	duration, err := otel.Meter(scope).Float64Histogram("db.client.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of database client operations."))
	if err != nil {
		otel.Handle(err)
	}
	return &Tracer{otel.Tracer(scope), duration}
}

var (
	_ pgx.QueryTracer    = (*Tracer)(nil)
	_ pgx.BatchTracer    = (*Tracer)(nil)
	_ pgx.CopyFromTracer = (*Tracer)(nil)
)

// TraceQueryStart begins a statement.
func (t *Tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	verb, table := operation(data.SQL)
	return t.start(ctx, conn, verb, table, data.SQL)
}

// TraceQueryEnd ends a statement.
func (t *Tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.end(ctx, data.Err)
}

// TraceBatchStart begins a batch, which is one operation.
func (t *Tracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	texts := make([]string, 0, data.Batch.Len())
	for i, q := range data.Batch.QueuedQueries {
		if i == 10 {
			break
		}
		texts = append(texts, q.SQL)
	}
	return t.start(ctx, conn, "BATCH", "", strings.Join(texts, ";\n"))
}

// TraceBatchQuery does nothing.
func (t *Tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd ends a batch.
func (t *Tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	t.end(ctx, data.Err)
}

// TraceCopyFromStart begins a copy.
func (t *Tracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	return t.start(ctx, conn, "COPY", strings.Join(data.TableName, "."), "")
}

// TraceCopyFromEnd ends a copy.
func (t *Tracer) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	t.end(ctx, data.Err)
}

type operationKey struct{}

// started is an operation that has not ended yet.
type started struct {
	at         time.Time
	attributes []attribute.KeyValue
	// span is nil if the operation is not part of a sampled trace.
	span trace.Span
}

func (t *Tracer) start(ctx context.Context, conn *pgx.Conn, verb, table, text string) context.Context {
	config := conn.Config()
	o := &started{at: time.Now(), attributes: []attribute.KeyValue{
		attribute.String("db.system.name", "postgresql"),
		attribute.String("db.namespace", config.Database),
		attribute.String("db.operation.name", verb),
		attribute.String("server.address", config.Host),
		attribute.Int("server.port", int(config.Port)),
	}}
	name := verb
	if table != "" {
		name += " " + table
		o.attributes = append(o.attributes, attribute.String("db.collection.name", table))
	}
	if trace.SpanContextFromContext(ctx).IsSampled() {
		ctx, o.span = t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(o.attributes...))
		if text != "" {
			o.span.SetAttributes(attribute.String("db.query.text", text))
		}
	}
	return context.WithValue(ctx, operationKey{}, o)
}

func (t *Tracer) end(ctx context.Context, err error) {
	o, ok := ctx.Value(operationKey{}).(*started)
	if !ok {
		return
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	failure := failed(err)
	t.duration.Record(ctx, time.Since(o.at).Seconds(), metric.WithAttributes(append(o.attributes, failure...)...))
	if o.span == nil {
		return
	}
	if err != nil {
		o.span.SetAttributes(failure...)
		o.span.SetStatus(codes.Error, err.Error())
	}
	o.span.End()
}

// failed returns the attributes of a failure: the server's code, or else the type of the error.
func failed(err error) []attribute.KeyValue {
	var server *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &server):
		return []attribute.KeyValue{attribute.String("db.response.status_code", server.Code), attribute.String("error.type", server.Code)}
	case errors.Is(err, context.Canceled):
		return []attribute.KeyValue{attribute.String("error.type", "canceled")}
	case errors.Is(err, context.DeadlineExceeded):
		return []attribute.KeyValue{attribute.String("error.type", "timeout")}
	}
	return []attribute.KeyValue{attribute.String("error.type", fmt.Sprintf("%T", err))}
}

// operation returns the verb of a statement and, where it is simple to find, its table.
func operation(sql string) (verb, table string) {
	words := strings.Fields(sql)
	if len(words) == 0 {
		return "query", ""
	}
	verb = strings.ToUpper(strings.TrimRight(words[0], ";"))
	if strings.HasPrefix(verb, "--") {
		// A script, which begins with a comment.
		return "SCRIPT", ""
	}
	for i, w := range words[:len(words)-1] {
		switch strings.ToUpper(w) {
		case "FROM", "INTO":
			if next := words[i+1]; !strings.HasPrefix(next, "(") {
				return verb, strings.Trim(next, `"(),;`)
			}
		case "UPDATE":
			if i == 0 {
				return verb, words[1]
			}
		}
	}
	return verb, ""
}
