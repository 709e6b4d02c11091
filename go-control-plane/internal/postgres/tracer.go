package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes a span of every statement that is part of a sampled trace; statements of background work have none. It stands
// where the module otelpgx would.
type Tracer struct {
	tracer trace.Tracer
}

// NewTracer uses the global provider.
func NewTracer() *Tracer { return &Tracer{otel.Tracer("hybrid/control-plane/postgres")} }

var (
	_ pgx.QueryTracer    = (*Tracer)(nil)
	_ pgx.BatchTracer    = (*Tracer)(nil)
	_ pgx.CopyFromTracer = (*Tracer)(nil)
)

// TraceQueryStart begins the span of a statement.
func (t *Tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return t.start(ctx, conn, operation(data.SQL), data.SQL)
}

// TraceQueryEnd ends it.
func (t *Tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	end(ctx, data.Err)
}

// TraceBatchStart begins the span of a batch.
func (t *Tracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	texts := make([]string, 0, data.Batch.Len())
	for i, q := range data.Batch.QueuedQueries {
		if i == 10 {
			break
		}
		texts = append(texts, q.SQL)
	}
	return t.start(ctx, conn, "BATCH", strings.Join(texts, ";\n"))
}

// TraceBatchQuery does nothing: the batch is one span.
func (t *Tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd ends the span of a batch.
func (t *Tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	end(ctx, data.Err)
}

// TraceCopyFromStart begins the span of a copy.
func (t *Tracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	return t.start(ctx, conn, "COPY "+strings.Join(data.TableName, "."), "")
}

// TraceCopyFromEnd ends it.
func (t *Tracer) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	end(ctx, data.Err)
}

type spanKey struct{}

func (t *Tracer) start(ctx context.Context, conn *pgx.Conn, name, text string) context.Context {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx
	}
	config := conn.Config()
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("db.system.name", "postgresql"),
		attribute.String("db.namespace", config.Database),
		attribute.String("db.operation.name", firstWord(name)),
		attribute.String("db.query.text", text),
		attribute.String("server.address", config.Host),
		attribute.Int("server.port", int(config.Port))))
	return context.WithValue(ctx, spanKey{}, span)
}

func end(ctx context.Context, err error) {
	span, ok := ctx.Value(spanKey{}).(trace.Span)
	if !ok {
		return
	}
	var server *pgconn.PgError
	switch {
	case errors.As(err, &server):
		span.SetAttributes(attribute.String("db.response.status_code", server.Code))
		span.SetStatus(codes.Error, server.Message)
	case err != nil && !errors.Is(err, pgx.ErrNoRows):
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// operation is the statement's verb and, where it is simple to tell, its table: "INSERT item".
func operation(sql string) string {
	words := strings.Fields(sql)
	if len(words) == 0 {
		return "query"
	}
	verb := strings.ToUpper(words[0])
	for i, w := range words[:len(words)-1] {
		switch strings.ToUpper(w) {
		case "FROM", "INTO":
			return verb + " " + strings.Trim(words[i+1], `"(),;`)
		case "UPDATE":
			if i == 0 {
				return verb + " " + words[1]
			}
		}
	}
	return verb
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}
