// Command pricing is the pricing twin in Go: grpc-go and sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	"hybrid/twins/internal/program"
	"hybrid/twins/internal/quotes"
	"hybrid/twins/internal/snapshot"
)

const (
	maxMessage = 1 << 20
	drainTime  = 10 * time.Second
)

func main() { program.Main(run) }

type settings struct {
	nodeID, address, controlPlane string
	brokers                       []string
	topic                         string
	maxStaleness                  time.Duration
}

func read() (settings, error) {
	s := settings{topic: program.Optional("QUOTES_TOPIC", "hybrid.quotes.v1")}
	var port, kafka string
	for _, variable := range []struct {
		name  string
		value *string
	}{{"NODE_ID", &s.nodeID}, {"GRPC_PORT", &port}, {"CONTROL_PLANE_GRPC", &s.controlPlane}, {"ConnectionStrings__kafka", &kafka}} {
		var err error
		if *variable.value, err = program.Required(variable.name); err != nil {
			return settings{}, err
		}
	}
	seconds, err := program.Number("HYBRID_BUDGET_MAX_STALENESS", 300, 1, 604_800)
	if err != nil {
		return settings{}, err
	}
	s.address = net.JoinHostPort(program.Optional("BIND_ADDRESS", "127.0.0.1"), port)
	control, err := url.Parse(s.controlPlane)
	if err != nil || control.Scheme != "http" || control.Host == "" {
		return settings{}, errors.New("CONTROL_PLANE_GRPC must be http://host:port")
	}
	s.controlPlane = control.Host
	s.brokers, s.maxStaleness = strings.Split(kafka, ","), time.Duration(seconds)*time.Second
	return s, nil
}

func run(ctx context.Context, log *slog.Logger) error {
	s, err := read()
	if err != nil {
		return err
	}
	events, err := quotes.OpenEvents(s.brokers, s.topic, s.nodeID, log)
	if err != nil {
		return err
	}
	defer events.Close()
	conn, err := grpc.NewClient(s.controlPlane, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("read CONTROL_PLANE_GRPC: %w", err)
	}
	defer conn.Close()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}

	// Not serving until there is a catalog.
	healthy := health.NewServer()
	services := []string{"", pricingv1.PricingService_ServiceDesc.ServiceName}
	say := func(status grpc_health_v1.HealthCheckResponse_ServingStatus) {
		for _, service := range services {
			healthy.SetServingStatus(service, status)
		}
	}
	say(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	client := snapshot.NewClient(conn, s.nodeID, s.maxStaleness, log)
	client.Applied = sync.OnceFunc(func() { say(grpc_health_v1.HealthCheckResponse_SERVING) })
	following, unfollow := context.WithCancel(ctx)
	var followed sync.WaitGroup
	followed.Go(func() { client.Run(following) })
	defer func() {
		unfollow()
		followed.Wait()
	}()

	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
	pricingv1.RegisterPricingServiceServer(server, quotes.NewService(client, events, log))
	grpc_health_v1.RegisterHealthServer(server, healthy)
	log.Info("serving", "node", s.nodeID, "address", listener.Addr().String())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	healthy.Shutdown()
	force := time.AfterFunc(drainTime, server.Stop)
	defer force.Stop()
	server.GracefulStop()
	return nil
}
