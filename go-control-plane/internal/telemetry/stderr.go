package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
)

// maxQueued is how many bytes may wait for whoever reads the lines.
const maxQueued = 256 << 10

// Lines writes lines without ever waiting for who reads them, who may have stopped to: those that write them answer calls. What
// there is no room for is left out and counted, and the next line that is taken comes after one that says so.
type Lines struct {
	to      io.Writer
	dropped atomic.Int64

	mu     sync.Mutex
	queued []byte
	// untold are the lines left out since the last one that says so.
	untold int64
	// written is closed when all is written that was queued; nil when nothing is.
	written chan struct{}
}

// NewLines returns lines that go to this writer, one after the other.
func NewLines(to io.Writer) *Lines { return &Lines{to: to} }

// Write queues one line, and never fails.
func (l *Lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	notice := l.notice()
	if len(l.queued)+len(notice)+len(line) > maxQueued {
		l.untold++
		l.dropped.Add(1)
	} else {
		l.queued = append(append(l.queued, notice...), line...)
		l.untold = 0
	}
	if l.written == nil {
		l.written = make(chan struct{})
		go l.write(l.written)
	}
	return len(line), nil
}

// Dropped is the number of lines that were left out.
func (l *Lines) Dropped() int64 { return l.dropped.Load() }

// Flush waits until all that was queued is written.
func (l *Lines) Flush(ctx context.Context) error {
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	if written == nil {
		return nil
	}
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Lines) write(written chan struct{}) {
	defer close(written)
	for next := l.take(); next != nil; next = l.take() {
		// Who has closed its end is told nothing more.
		_, _ = l.to.Write(next)
	}
}

// take returns what is to be written next. Nil ends the writer.
func (l *Lines) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := append(l.queued, l.notice()...)
	l.queued, l.untold = nil, 0
	if len(next) == 0 {
		l.written = nil
		return nil
	}
	return next
}

// notice is the line that says how many were left out, empty if none were.
func (l *Lines) notice() []byte {
	if l.untold == 0 {
		return nil
	}
	var line bytes.Buffer
	slog.New(slog.NewTextHandler(&line, nil)).Warn("lines were left out because nobody read them", "lines", l.untold)
	return line.Bytes()
}
