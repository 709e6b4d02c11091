package grpcapi

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// Health is what the server says of itself, as a whole and by the name of each of its services.
type Health struct {
	server *health.Server
	names  []string
}

// newHealth has the services that are registered by now. They are not serving.
func newHealth(server *grpc.Server) *Health {
	h := &Health{server: health.NewServer(), names: []string{""}}
	for name := range server.GetServiceInfo() {
		h.names = append(h.names, name)
	}
	h.Set(false)
	return h
}

// Set says whether the services are serving, which is the same for all of them.
func (h *Health) Set(serving bool) {
	state := healthv1.HealthCheckResponse_NOT_SERVING
	if serving {
		state = healthv1.HealthCheckResponse_SERVING
	}
	for _, name := range h.names {
		h.server.SetServingStatus(name, state)
	}
}

// healthService is grpc-go's health service, whose watches end when the drain begins. An open watch would hold it up until
// its deadline.
type healthService struct {
	*health.Server
	draining <-chan struct{}
}

// Watch sends every change of the status. At the drain it sends NOT_SERVING, and ends.
func (s *healthService) Watch(request *healthv1.HealthCheckRequest, stream grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		select {
		case <-s.draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	watched := &watch{ServerStreamingServer: stream, ctx: ctx}
	err := s.Server.Watch(request, watched)
	if ctx.Err() == nil || stream.Context().Err() != nil {
		return err
	}
	if watched.last == healthv1.HealthCheckResponse_SERVING {
		return stream.Send(&healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_NOT_SERVING})
	}
	return nil
}

// watch is a stream that ends with ctx and remembers the status that was sent last.
type watch struct {
	grpc.ServerStreamingServer[healthv1.HealthCheckResponse]
	ctx  context.Context
	last healthv1.HealthCheckResponse_ServingStatus
}

func (w *watch) Context() context.Context { return w.ctx }

func (w *watch) Send(response *healthv1.HealthCheckResponse) error {
	w.last = response.GetStatus()
	return w.ServerStreamingServer.Send(response)
}
