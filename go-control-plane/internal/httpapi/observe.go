package httpapi

import (
	"context"
	"net/http"
	"regexp"
	"strconv"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// routed is a middleware of the gateway that adds the route to the span and the metrics of a request.
func routed(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			setRoute(r.Context(), r.Method, variables.ReplaceAllString(pattern.String(), "{$1}"))
		}
		next(w, r, path)
	}
}

// variables matches the gateway's form of a variable, {name=pattern}.
var variables = regexp.MustCompile(`\{([^{}=]+)=[^{}]*\}`)

// at adds the route to the span and the metrics of the requests to next.
func at(route string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setRoute(r.Context(), r.Method, route)
		next.ServeHTTP(w, r)
	})
}

func setRoute(ctx context.Context, method, route string) {
	trace.SpanFromContext(ctx).SetName(method + " " + route)
	describe(ctx, attribute.String("http.route", route))
}

// withErrorType adds error.type to the span and the metrics of requests that fail on the server's side, which otelhttp does
// not.
func withErrorType(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &statusRecorder{ResponseWriter: w}
		next.ServeHTTP(recorder, r)
		if recorder.status >= http.StatusInternalServerError {
			describe(r.Context(), attribute.String("error.type", strconv.Itoa(recorder.status)))
		}
	})
}

func describe(ctx context.Context, a attribute.KeyValue) {
	trace.SpanFromContext(ctx).SetAttributes(a)
	if labels, ok := otelhttp.LabelerFromContext(ctx); ok {
		labels.Add(a)
	}
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController the original writer.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
