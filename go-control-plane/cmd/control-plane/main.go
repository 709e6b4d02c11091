// Control-plane serves the catalog, distributes its snapshots to the data planes, and keeps the ledger.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"hybrid/control-plane/internal/app"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/telemetry"
)

// version is set by the linker: -ldflags "-X main.version=…".
var version = "dev"

// flushTimeout is how long the last telemetry may take to be sent, and then the last lines to be read.
const flushTimeout = 3 * time.Second

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitRefused = 2
)

func main() { os.Exit(run(os.Args[1:])) }

func run(arguments []string) int {
	flags := flag.NewFlagSet("control-plane", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), "control-plane: catalog, snapshots for the data planes, ledger.\n\nFlags:\n  --help\n  --version\n\n"+config.Usage)
	}
	showVersion := flags.Bool("version", false, "print the version")
	switch err := flags.Parse(arguments); {
	case err == flag.ErrHelp:
		return exitDone
	case err != nil:
		return exitRefused
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "control-plane: unexpected argument %q\n", flags.Arg(0))
		return exitRefused
	case *showVersion:
		fmt.Println("control-plane", build())
		return exitDone
	}
	settings, err := config.Read(os.Getenv)
	if err != nil {
		return refused(os.Stderr, err)
	}
	lines := telemetry.NewLines(os.Stderr)
	defer func() {
		// Whatever ends the program: who reads nothing does not hold it up for longer.
		flushing, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		_ = lines.Flush(flushing)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the next one has its default effect again, which is to end the process at once.
	context.AfterFunc(ctx, stop)

	log, flush := telemetry.Start(ctx, build(), settings.LogLevel, lines)
	err = app.Run(ctx, settings, log)
	var setting *config.Error
	if errors.As(err, &setting) {
		return refused(lines, setting)
	}
	if err != nil {
		log.ErrorContext(ctx, "failed", "error", err)
	}
	flushing, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := flush(flushing); err != nil {
		fmt.Fprintln(lines, "control-plane: the last telemetry was not sent:", err)
	}
	if err != nil {
		return exitFailed
	}
	return exitDone
}

// refused reports a setting that is refused, in one line.
func refused(to io.Writer, err error) int {
	fmt.Fprintln(to, "control-plane:", err)
	return exitRefused
}

// build returns the version and, if known, the commit.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || version != "dev" {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + "-" + s.Value[:12]
		}
	}
	return version
}
