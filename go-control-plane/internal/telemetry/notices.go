package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// maxNotices bounds how many different texts are remembered, and written.
const maxNotices = 100

// notices writes what the SDK reports about itself as warnings, each text once.
type notices struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]struct{}
}

// Handle makes notices the SDK's error handler. An export that the end of the process cancels is no fault: the SDK makes a last
// one after it.
func (n *notices) Handle(err error) {
	if !errors.Is(err, context.Canceled) {
		n.warn(err.Error())
	}
}

func (n *notices) warn(text string) {
	text = redacted(text)
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.seen[text]; known || len(n.seen) == maxNotices {
		return
	}
	if n.seen == nil {
		n.seen = map[string]struct{}{}
	}
	n.seen[text] = struct{}{}
	n.log.Warn("telemetry: " + text)
}

// redacted hides the headers of exports, which the SDK quotes if they are malformed. They contain API keys.
func redacted(text string) string {
	for _, variable := range []string{"", "TRACES_", "METRICS_", "LOGS_"} {
		for header := range strings.SplitSeq(os.Getenv("OTEL_EXPORTER_OTLP_"+variable+"HEADERS"), ",") {
			_, value, _ := strings.Cut(header, "=")
			for _, secret := range []string{header, value} {
				if secret = strings.TrimSpace(secret); secret != "" {
					text = strings.ReplaceAll(text, secret, "[redacted]")
				}
			}
		}
	}
	return text
}

// sdkLog passes the errors in the SDK's internal log on to notices.
type sdkLog struct{ *notices }

func (sdkLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

func (l sdkLog) Handle(_ context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&text, " %s=%v", a.Key, a.Value)
		return true
	})
	l.warn(text.String())
	return nil
}

func (l sdkLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l sdkLog) WithGroup(string) slog.Handler      { return l }
