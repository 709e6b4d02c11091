// Package program has what every twin does around its service: it reads its environment, and runs until it is told to end.
package program

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// Main runs a twin until SIGTERM or Ctrl-C cancels the context; a second signal ends the process at once. Its exit code is 0
// when run returned nil, and 1 when it failed.
func Main(run func(context.Context, *slog.Logger) error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, log); err != nil {
		log.Error("the twin has failed", "error", err)
		os.Exit(1)
	}
}

// Required returns a variable of the environment, or an error that names it.
func Required(name string) (string, error) {
	if value := os.Getenv(name); value != "" {
		return value, nil
	}
	return "", fmt.Errorf("%s is not set", name)
}

// Optional returns a variable of the environment, or the fallback where it is not set.
func Optional(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// Number returns a variable of the environment within its limits, or the fallback where it is not set.
func Number(name string, fallback, smallest, largest int) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return fallback, nil
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < smallest || number > largest {
		return 0, fmt.Errorf("%s must be %d to %d", name, smallest, largest)
	}
	return number, nil
}
