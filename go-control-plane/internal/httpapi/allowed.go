package httpapi

import (
	"context"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// question is the key of a request's context that asks whether there is a route, and is answered by none. The value is a *bool.
type question struct{}

// asked is a middleware of the gateway that answers such requests.
func asked(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		if routed, ok := r.Context().Value(question{}).(*bool); ok {
			*routed = true
			return
		}
		next(w, r, path)
	}
}

func isQuestion(r *http.Request) bool { return r.Context().Value(question{}) != nil }

// allowed lists the methods that the gateway serves at the path of a request.
func allowed(gateway *runtime.ServeMux, r *http.Request) (methods []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		routed := false
		other := r.Clone(context.WithValue(r.Context(), question{}, &routed))
		other.Method = method
		gateway.ServeHTTP(nil, other)
		if routed {
			methods = append(methods, method)
		}
	}
	return methods
}
