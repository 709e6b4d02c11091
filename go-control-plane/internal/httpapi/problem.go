package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// problem is a problem document of RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is the name of the gRPC code, Reason the reason of ErrorInfo.
	Code   string       `json:"code"`
	Reason string       `json:"reason"`
	Errors []fieldError `json:"errors,omitempty"`
}

type fieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (p problem) write(w http.ResponseWriter) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}

// problemOf returns the problem that stands for a gRPC status.
func problemOf(err error) problem {
	s := status.Convert(err)
	p := problem{Status: runtime.HTTPStatusFromCode(s.Code()), Detail: s.Message(), Code: codeName(s.Code())}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			p.Reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				p.Errors = append(p.Errors, fieldError{v.GetField(), v.GetDescription()})
			}
		}
	}
	if p.Reason == "" && s.Code() == codes.InvalidArgument {
		// A status without details is from the gateway, which could not parse the request.
		p.Reason = "REQUEST_MALFORMED"
	}
	return p
}

func codeName(c codes.Code) string { return code.Code(c).String() }

// gatewayError answers with the error of a handler of the gateway.
func gatewayError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	problemOf(err).write(w)
}

// routingError answers a request that matches no route of the gateway.
func routingError(_ context.Context, gateway *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
	switch {
	case isQuestion(r):
	case status == http.StatusMethodNotAllowed:
		methodNotAllowed(w, r, allowed(gateway, r)...)
	case status == http.StatusBadRequest:
		problem{Status: status, Detail: "the path is malformed", Code: codeName(codes.InvalidArgument), Reason: "REQUEST_MALFORMED"}.write(w)
	default:
		notFound(w, r)
	}
}

// only returns a handler for the requests to a path that another one serves for this method alone.
func only(method string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { methodNotAllowed(w, r, method) }
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request, others ...string) {
	w.Header().Set("Allow", strings.Join(others, ", "))
	problem{Status: http.StatusMethodNotAllowed, Detail: r.Method + " is not served at this path",
		Code: codeName(codes.Unimplemented), Reason: "METHOD_NOT_ALLOWED"}.write(w)
}

func crossOrigin(w http.ResponseWriter, _ *http.Request) {
	problem{Status: http.StatusForbidden, Detail: "a web page of another origin must not write",
		Code: codeName(codes.PermissionDenied), Reason: "CROSS_ORIGIN"}.write(w)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	problem{Status: http.StatusNotFound, Detail: "nothing is served at this path", Code: codeName(codes.NotFound), Reason: "PATH_UNKNOWN"}.write(w)
}
