// Command items is the items twin in Go: net/http and pgx.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"hybrid/twins/internal/items"
	"hybrid/twins/internal/program"
)

const (
	headTime  = 10 * time.Second
	idleTime  = 5 * time.Minute
	drainTime = 10 * time.Second
)

func main() { program.Main(run) }

func run(ctx context.Context, log *slog.Logger) error {
	address, err := program.Required("LISTEN")
	if err != nil {
		return err
	}
	size, err := program.Number("POOL_SIZE", 16, 1, 1000)
	if err != nil {
		return err
	}
	var store items.Store
	if url := os.Getenv("DATABASE_URL"); url != "" {
		postgres, err := items.Open(ctx, url, size)
		if err != nil {
			return err
		}
		defer postgres.Close()
		store = postgres
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: items.Handler(store, log), ReadHeaderTimeout: headTime, IdleTimeout: idleTime}
	log.Info("serving", "address", listener.Addr().String())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	draining, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := server.Shutdown(draining); err != nil {
		return errors.Join(fmt.Errorf("drain: %w", err), server.Close())
	}
	return nil
}
