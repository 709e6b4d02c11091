package grpcapi_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	"hybrid/control-plane/internal/catalog"
)

func TestAnOpenWatchEndsWithTheDrain(t *testing.T) {
	s := serve(t, failing{err: catalog.ErrNotFound})
	watch, err := healthv1.NewHealthClient(s.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
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
