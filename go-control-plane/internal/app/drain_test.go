//go:build unix

package app

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/postgrestest"
	"hybrid/control-plane/internal/readiness"
)

// A balancer that asks for readiness now and then still sends calls until it has asked again: they are answered.
func TestCallsAreServedDuringTheDrainDelay(t *testing.T) {
	const delay = 2 * time.Second
	r := run(t, config.Config{Postgres: postgrestest.Database(t), Kafka: noKafka(t), DrainDelay: delay})
	eventually(t, "it serves", func() bool {
		_, err := fleetv1.NewFleetServiceClient(r.conn).ListNodes(t.Context(), &fleetv1.ListNodesRequest{})
		return err == nil
	})
	start, stopped := time.Now(), make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "it says that it drains", func() bool {
		answer, err := http.Get(r.http + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var report readiness.Report
		return json.NewDecoder(answer.Body).Decode(&report) == nil && report.Status == readiness.Draining
	})
	for _, service := range []string{"", fleetv1.FleetService_ServiceDesc.ServiceName} {
		health, err := healthv1.NewHealthClient(r.conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
			t.Errorf("health of %q: %v, %v", service, health, err)
		}
	}
	// On a new connection too.
	answer, err := (&http.Client{Transport: &http.Transport{}}).Get(r.http + "/v1/fleet/nodes")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("HTTP: %v, %v", answer, err)
	}
	if _, err := fleetv1.NewFleetServiceClient(r.conn).ListNodes(t.Context(), &fleetv1.ListNodesRequest{}); err != nil && time.Since(start) < delay {
		t.Errorf("gRPC: %v", err)
	}
	if err := <-stopped; err != nil || time.Since(start) < delay {
		t.Errorf("ended after %v with %v", time.Since(start), err)
	}
	if _, err := fleetv1.NewFleetServiceClient(r.conn).ListNodes(t.Context(), &fleetv1.ListNodesRequest{}); status.Code(err) == codes.OK {
		t.Error(errors.New("it serves after its end"))
	}
}
