// Package grpcgo asks a running data plane by grpc-go as it is. tests/Contract/Borders/StockClientTests.cs starts the data planes, runs
// these tests against them, and asks the same by Grpc.Net.
package grpcgo

import (
	"context"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
)

const (
	// A data plane that answers at once.
	quick = "QUOTES_QUICK"
	// One that answers a quote after a second, and the id of its process.
	delayed    = "QUOTES_DELAYED"
	delayedPID = "QUOTES_DELAYED_PID"
	// One that answers no quote in the time of a test.
	stuck = "QUOTES_STUCK"

	// Calls that a connection may have open at once, as docs/architecture.md has it.
	maxStreams = 256
	maxMessage = 1 << 20
	patience   = 30 * time.Second
)

// longSKU is an item of the catalog with the longest name, mug one with a short name.
var longSKU = strings.Repeat("m", 64)

const mug = "mug"

// given returns what the test was given, and fails it where that is nothing.
func given(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: StockClientTests of tests/Contract starts data planes and names them", variable)
	}
	return value
}

// client is grpc-go with one connection to a data plane.
type client struct {
	pricingv1.PricingServiceClient
	health healthpb.HealthClient
	conn   *grpc.ClientConn
	dials  atomic.Int32
}

// connect fails the test at its end where its calls did not all go over one connection.
func connect(t *testing.T, variable string, options ...grpc.DialOption) *client {
	t.Helper()
	c := &client{}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			c.dials.Add(1)
		}
		return conn, err
	}
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))
	conn, err := grpc.NewClient("passthrough:///"+given(t, variable), options...)
	if err != nil {
		t.Fatal(err)
	}
	c.PricingServiceClient, c.health, c.conn = pricingv1.NewPricingServiceClient(conn), healthpb.NewHealthClient(conn), conn
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if n := c.dials.Load(); n != 1 {
			t.Errorf("%d connections were made, not 1", n)
		}
	})
	return c
}

// within is the context of a test's calls.
func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func basket(sku string, lines int) *pricingv1.QuoteRequest {
	request := &pricingv1.QuoteRequest{CurrencyCode: "EUR", Jurisdiction: "DE"}
	for range lines {
		request.Lines = append(request.Lines, &pricingv1.QuoteLine{Sku: sku, Quantity: 1})
	}
	return request
}

// serves fails the test unless the connection answers health and, where the data plane answers at once, a quote.
func (c *client) serves(t *testing.T, quotes bool) {
	t.Helper()
	check, err := c.health.Check(within(t, patience), &healthpb.HealthCheckRequest{})
	if err != nil || check.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("health: %v %v", check, err)
	}
	if !quotes {
		return
	}
	if quote, err := c.Quote(within(t, patience), basket(mug, 1)); err != nil || quote.GrossMinor != 1_190 {
		t.Fatalf("a quote: %v %v", quote, err)
	}
}
