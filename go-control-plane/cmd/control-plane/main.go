// Control-plane serves the catalog, hands its snapshots to the data planes, and keeps the ledger.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
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

func main() { os.Exit(run()) }

func run() int {
	flags := flag.NewFlagSet("control-plane", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), "control-plane: catalog, snapshots for the data planes, ledger.\n\nFlags:\n  --help\n  --version\n\n"+config.Usage)
	}
	showVersion := flags.Bool("version", false, "print the version")
	switch err := flags.Parse(os.Args[1:]); {
	case err == flag.ErrHelp:
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "control-plane: unexpected argument %q\n", flags.Arg(0))
		return 2
	case *showVersion:
		fmt.Println("control-plane", build())
		return 0
	}
	settings, err := config.Read(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "control-plane:", err)
		return 2
	}
	var level slog.Level
	if text := os.Getenv("LOG_LEVEL"); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			fmt.Fprintf(os.Stderr, "control-plane: set LOG_LEVEL to debug, info, warn or error: it is %q\n", text)
			return 2
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)

	log, flush, err := telemetry.Start(ctx, build(), level)
	if err != nil {
		fmt.Fprintln(os.Stderr, "control-plane: telemetry:", err)
		return 1
	}
	err = app.Run(ctx, settings, log)
	if err != nil {
		log.ErrorContext(ctx, "ended", "error", err)
	}
	flushing, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := flush(flushing); err != nil {
		log.DebugContext(ctx, "telemetry was not flushed", "error", err)
	}
	if err != nil {
		return 1
	}
	return 0
}

// build names what is running: the version, and the commit where it is known.
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
