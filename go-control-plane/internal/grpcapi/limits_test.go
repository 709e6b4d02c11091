package grpcapi_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/control-plane/internal/catalog"
)

// names are those by which health may be asked for.
var names = []string{"", catalogv1.CatalogService_ServiceDesc.ServiceName, snapshotv1.SnapshotService_ServiceDesc.ServiceName,
	fleetv1.FleetService_ServiceDesc.ServiceName, usagev1.LedgerService_ServiceDesc.ServiceName}

func TestEachServiceHasTheHealthOfTheProcess(t *testing.T) {
	s := serve(t, failing{err: catalog.ErrNotFound})
	client := healthv1.NewHealthClient(s.conn)
	for serving, want := range map[bool]healthv1.HealthCheckResponse_ServingStatus{
		true: healthv1.HealthCheckResponse_SERVING, false: healthv1.HealthCheckResponse_NOT_SERVING} {
		s.health.Set(serving)
		for _, name := range names {
			response, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
			if err != nil || response.GetStatus() != want {
				t.Errorf("%q: %v, %v", name, response, err)
			}
		}
	}
	if _, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "hybrid.pricing.v1.PricingService"}); status.Code(err) != codes.NotFound {
		t.Errorf("a service of another program: %v", err)
	}
}

func TestAnOpenWatchEndsWithTheDrain(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) { watchUntilTheDrain(t, name) })
	}
}

func watchUntilTheDrain(t *testing.T, name string) {
	s := serve(t, failing{err: catalog.ErrNotFound})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watch, err := healthv1.NewHealthClient(s.conn).Watch(ctx, &healthv1.HealthCheckRequest{Service: name})
	if err != nil {
		t.Fatal(err)
	}
	s.health.Set(true)
	var last healthv1.HealthCheckResponse_ServingStatus
	for last != healthv1.HealthCheckResponse_SERVING {
		response, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		last = response.GetStatus()
	}
	close(s.draining)
	ended := make(chan struct{})
	go func() { s.server.GracefulStop(); close(ended) }()
	response, err := watch.Recv()
	if err != nil || response.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("last: %v, %v", response, err)
	}
	if _, err := watch.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the watch held up the drain")
	}
}

// A caller that answers pings, but does not send its request.
func TestARequestThatDoesNotComeEndsItsCall(t *testing.T) {
	t.Parallel()
	s := serve(t, failing{err: catalog.ErrNotFound})
	call, err := s.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, catalogv1.CatalogService_GetItem_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if code := status.Code(call.RecvMsg(&catalogv1.GetItemResponse{})); code != codes.DeadlineExceeded && code != codes.Canceled {
		t.Errorf("ended with %v", code)
	}
}
