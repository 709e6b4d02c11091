// Package httpapi is the HTTP face of the control plane: REST by the gateway, the short form of creating an item, the OpenAPI
// document, and health.
package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/readiness"
)

const (
	// MaxBodyBytes is the limit of a request's body.
	MaxBodyBytes = 1 << 20
	callTimeout  = 10 * time.Second
)

// NewHandler serves everything.
func NewHandler(ctx context.Context, services grpcapi.Services, ready *readiness.Readiness, log *slog.Logger) (http.Handler, error) {
	gateway := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newMarshaler()),
		runtime.WithErrorHandler(gatewayError),
		runtime.WithRoutingErrorHandler(routingError),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithMiddlewares(nameSpan),
	)
	if err := catalogv1.RegisterCatalogServiceHandlerServer(ctx, gateway, services.Catalog); err != nil {
		return nil, err
	}
	if err := fleetv1.RegisterFleetServiceHandlerServer(ctx, gateway, services.Fleet); err != nil {
		return nil, err
	}
	if err := usagev1.RegisterLedgerServiceHandlerServer(ctx, gateway, services.Ledger); err != nil {
		return nil, err
	}
	api := http.NewServeMux()
	api.Handle("/v1/", gateway)
	api.Handle("POST /items", named("POST /items", keyed(createShort(services.Catalog, log))))
	api.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(openAPI)
	})
	api.HandleFunc("/items", func(w http.ResponseWriter, r *http.Request) {
		routingError(nil, nil, nil, w, r, http.StatusMethodNotAllowed)
	})
	api.HandleFunc("/", notFound)

	traced := otelhttp.NewHandler(guard(api, ready, log), "http",
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method }))
	health := healthHandler(ready)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez", "/readyz":
			health.ServeHTTP(w, r)
		default:
			traced.ServeHTTP(w, r)
		}
	}), nil
}

// healthHandler answers while all else is refused, and is not traced.
func healthHandler(ready *readiness.Readiness) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"status":"alive"}`+"\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeReadiness(w, ready.Report()) })
	return mux
}

func writeReadiness(w http.ResponseWriter, report readiness.Report) {
	body, err := json.Marshal(report)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if report.Status != readiness.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	w.Write(append(body, '\n'))
}

// guard refuses requests while the process drains, bounds the time and the body of every other, and turns a panic into an
// answer.
func guard(next http.Handler, ready *readiness.Readiness, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ready.Draining() {
			w.Header().Set("Connection", "close")
			problemOf(grpcapi.Status(codes.Unavailable, "DRAINING", "the control plane is about to end")).write(w)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		defer func() {
			if fault := recover(); fault != nil {
				log.ErrorContext(ctx, "handler panicked", "method", r.Method, "path", r.URL.Path, "panic", fault, "stack", string(debug.Stack()))
				problemOf(grpcapi.Status(codes.Internal, "INTERNAL", "internal error")).write(w)
			}
		}()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			problem{Status: http.StatusRequestEntityTooLarge, Detail: "the body is larger than 1 MiB", Code: codeName(codes.InvalidArgument), Reason: "BODY_TOO_LARGE"}.write(w)
			return
		case err != nil:
			problemOf(grpcapi.Status(codes.InvalidArgument, "REQUEST_MALFORMED", "the body cannot be read")).write(w)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// incomingHeader lets the gateway pass on the headers that the services know.
func incomingHeader(name string) (string, bool) {
	if strings.EqualFold(name, grpcapi.IdempotencyKey) {
		return grpcapi.IdempotencyKey, true
	}
	return "", false
}

// keyed does for a handler of our own what incomingHeader does for the gateway.
func keyed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get(grpcapi.IdempotencyKey); key != "" {
			r = r.WithContext(metadata.NewIncomingContext(r.Context(), metadata.Pairs(grpcapi.IdempotencyKey, key)))
		}
		next.ServeHTTP(w, r)
	})
}

// nameSpan names a request's span and metrics after the rule that took it.
func nameSpan(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			route(r.Context(), r.Method+" "+pattern.String())
		}
		next(w, r, path)
	}
}

func named(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route(r.Context(), name)
		next.ServeHTTP(w, r)
	})
}

func route(ctx context.Context, name string) {
	_, path, _ := strings.Cut(name, " ")
	attr := attribute.String("http.route", path)
	span := trace.SpanFromContext(ctx)
	span.SetName(name)
	span.SetAttributes(attr)
	if labels, ok := otelhttp.LabelerFromContext(ctx); ok {
		labels.Add(attr)
	}
}
