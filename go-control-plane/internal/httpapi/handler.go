// Package httpapi serves HTTP: the REST mapping of the gRPC services, the short form of creating an item, the OpenAPI
// document, and health.
package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
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

// NewHandler returns the handler of all paths. Every request but those for health has a span and is measured.
func NewHandler(ctx context.Context, services grpcapi.Services, ready *readiness.Readiness, log *slog.Logger) (http.Handler, error) {
	gateway := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newMarshaler()),
		runtime.WithErrorHandler(gatewayError),
		runtime.WithRoutingErrorHandler(routingError),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithMiddlewares(asked, routed, agreeing),
		runtime.SetQueryParameterParser(&strictQuery{}),
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
	api.Handle("POST /items", at("/items", withoutQuery(keyed(createShort(services.Catalog, log)))))
	api.Handle("GET /openapi.json", at("/openapi.json", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(openAPI)
	})))
	api.Handle("/items", at("/items", only(http.MethodPost)))
	api.Handle("/openapi.json", at("/openapi.json", only(http.MethodGet)))
	api.HandleFunc("/", notFound)

	// A web page must not make a browser write to a control plane on the same machine or network.
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(crossOrigin))
	traced := otelhttp.NewHandler(withErrorType(guard(foreign.Handler(api), ready, log)), "")
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

// healthHandler answers even while the process drains.
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
	if !report.Serves() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	w.Write(append(body, '\n'))
}

// guard refuses requests while the process drains, limits the time and the body of all others, and answers a panic with an
// error.
func guard(next http.Handler, ready *readiness.Readiness, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ready.Draining() {
			w.Header().Set("Connection", "close")
			problemOf(grpcapi.Status(codes.Unavailable, "DRAINING", "the control plane is shutting down")).write(w)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		defer func() {
			if fault := recover(); fault != nil {
				log.ErrorContext(ctx, "handler panicked", "http.request.method", r.Method, "url.path", r.URL.Path,
					"exception.message", fmt.Sprint(fault), "exception.stacktrace", string(debug.Stack()))
				problemOf(grpcapi.Status(codes.Internal, "INTERNAL", "internal error")).write(w)
			}
		}()
		if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
			w.Header().Set("Accept-Encoding", "identity")
			problem{Status: http.StatusUnsupportedMediaType, Detail: "a body must not be encoded: send it without Content-Encoding",
				Code: codeName(codes.InvalidArgument), Reason: "CONTENT_ENCODING_UNSUPPORTED"}.write(w)
			return
		}
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

// incomingHeader makes the gateway pass on the headers that the services read.
func incomingHeader(name string) (string, bool) {
	if strings.EqualFold(name, grpcapi.IdempotencyKey) {
		return grpcapi.IdempotencyKey, true
	}
	return "", false
}

// keyed does for other handlers what incomingHeader does for the gateway.
func keyed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get(grpcapi.IdempotencyKey); key != "" {
			r = r.WithContext(metadata.NewIncomingContext(r.Context(), metadata.Pairs(grpcapi.IdempotencyKey, key)))
		}
		next.ServeHTTP(w, r)
	})
}
