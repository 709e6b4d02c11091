package telemetry

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

func TestAReaderThatStopsToReadHoldsNobodyUpAndIsTold(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	lines := NewLines(writer)
	log := slog.New(newLines(lines, slog.LevelInfo))
	const count = 20_000
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := range count {
			log.Info("a line", "n", n, "text", strings.Repeat("x", 100))
		}
	}()
	select {
	case <-written:
	case <-time.After(30 * time.Second):
		t.Fatal("the lines wait for their reader")
	}
	dropped := lines.Dropped()
	if dropped == 0 {
		t.Fatal("no line is left out")
	}
	// The reader goes on: it gets what was queued, in order, one line that says how many are missing, and what comes after.
	scanner := bufio.NewScanner(reader)
	next := func() string {
		if !scanner.Scan() {
			t.Fatal(scanner.Err())
		}
		return scanner.Text()
	}
	for n := range count - dropped {
		if line := next(); !strings.Contains(line, fmt.Sprintf(` n=%d `, n)) {
			t.Fatalf("%s, want n=%d", line, n)
		}
	}
	if line, want := next(), fmt.Sprintf(`level=WARN msg="lines were left out because nobody read them" lines=%d`, dropped); !strings.HasSuffix(line, want) {
		t.Errorf("%s, want %s", line, want)
	}
	log.Info("again")
	if line := next(); !strings.HasSuffix(line, "level=INFO msg=again") {
		t.Errorf("%s comes after it", line)
	}
	if now := lines.Dropped(); now != dropped {
		t.Errorf("%d lines are left out now, %d before", now, dropped)
	}
}

// held is a writer that takes nothing until it may.
type held struct {
	buffer
	may chan struct{}
}

func (h *held) Write(p []byte) (int, error) {
	<-h.may
	return h.buffer.Write(p)
}

func TestFlushWaitsForWhatIsQueued(t *testing.T) {
	to := &held{may: make(chan struct{})}
	lines := NewLines(to)
	if err := lines.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	for n := range 3 {
		fmt.Fprintln(lines, n)
	}
	fmt.Fprintln(lines, strings.Repeat("x", maxQueued))
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := lines.Flush(short); err == nil {
		t.Error("it does not wait")
	}
	close(to.may)
	if err := lines.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if text := to.String(); !strings.HasPrefix(text, "0\n1\n2\n") || !strings.HasSuffix(text, " lines=1\n") {
		t.Errorf("%q is written", text)
	}
}
