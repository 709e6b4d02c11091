// Command metering is the metering twin in Go: sarama's consumer group and transactions.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"hybrid/twins/internal/metering"
	"hybrid/twins/internal/program"
)

const headTime = 10 * time.Second

func main() { program.Main(run) }

func run(ctx context.Context, log *slog.Logger) error {
	port, err := program.Required("HTTP_PORT")
	if err != nil {
		return err
	}
	kafka, err := program.Required("ConnectionStrings__kafka")
	if err != nil {
		return err
	}
	config := metering.Config{
		Brokers: strings.Split(kafka, ","), Node: program.Optional("NODE_ID", "1"), Group: program.Optional("GROUP_ID", "metering-go"),
		QuotesTopic: program.Optional("QUOTES_TOPIC", "hybrid.quotes.v1"), UsageTopic: program.Optional("USAGE_TOPIC", "hybrid.usage.v1"),
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(program.Optional("BIND_ADDRESS", "127.0.0.1"), port))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headTime}

	parts, partsCtx := errgroup.WithContext(ctx)
	parts.Go(func() error { return metering.Run(partsCtx, config, log) })
	parts.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	context.AfterFunc(partsCtx, func() { server.Close() })
	log.Info("serving", "address", listener.Addr().String(), "group", config.Group)
	return parts.Wait()
}
