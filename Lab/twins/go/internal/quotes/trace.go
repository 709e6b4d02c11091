package quotes

import (
	"strings"

	"google.golang.org/grpc/metadata"

	"hybrid/twins/internal/cloudevent"
)

// trace is the W3C trace context of a call.
type trace struct{ parent, state string }

// traceOf returns the caller's trace context, or a new one that is not sampled.
func traceOf(md metadata.MD) trace {
	if parent := md.Get("traceparent"); len(parent) == 1 && validParent(parent[0]) {
		return trace{parent[0], strings.Join(md.Get("tracestate"), ",")}
	}
	return trace{parent: cloudevent.NewTraceparent()}
}

// validParent reports whether text is a traceparent of version 00, whose ids are not zero.
func validParent(text string) bool {
	if len(text) != 55 || text[:3] != "00-" || text[35] != '-' || text[52] != '-' {
		return false
	}
	for _, part := range []string{text[3:35], text[36:52], text[53:]} {
		if strings.Trim(part, "0123456789abcdef") != "" {
			return false
		}
	}
	return strings.Trim(text[3:35], "0") != "" && strings.Trim(text[36:52], "0") != ""
}
