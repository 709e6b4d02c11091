package grpcgo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
)

// Of calls that are given up, more than a connection may have open are made: each must free its place.
func TestCallsThatAreGivenUpFreeTheirPlaces(t *testing.T) {
	c := connect(t, stuck)
	for _, kind := range []struct {
		name   string
		giveUp func(context.Context) (context.Context, context.CancelFunc)
		code   codes.Code
	}{
		{"a deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 300*time.Millisecond)
		}, codes.DeadlineExceeded},
		{"a cancellation", context.WithCancel, codes.Canceled},
		{"a deadline that has passed", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Nanosecond)
		}, codes.DeadlineExceeded},
	} {
		t.Run(name(kind.name), func(t *testing.T) {
			for range 2 {
				ctx, cancel := kind.giveUp(within(t, patience))
				answers := make(chan error)
				for range maxStreams - 1 {
					go func() {
						_, err := c.Quote(ctx, basket(mug, 1))
						answers <- err
					}()
				}
				// One place is left, and what came before it has been read when it is answered.
				c.serves(t, false)
				if kind.code == codes.Canceled {
					cancel()
				}
				for range maxStreams - 1 {
					if err := <-answers; status.Code(err) != kind.code {
						t.Errorf("%v, not %v", err, kind.code)
					}
				}
				cancel()
			}
			c.serves(t, false)
		})
	}
}

func TestErrorsHaveTheirDetails(t *testing.T) {
	c := connect(t, quick)
	for _, invalid := range []struct {
		reason, field string
		code          codes.Code
		change        func(*pricingv1.QuoteRequest)
	}{
		{"CURRENCY_INVALID", "currency_code", codes.InvalidArgument, func(r *pricingv1.QuoteRequest) { r.CurrencyCode = "€" }},
		{"LINES_INVALID", "lines", codes.InvalidArgument, func(r *pricingv1.QuoteRequest) { r.Lines = nil }},
		{"SKU_UNKNOWN", "lines[1].sku", codes.NotFound, func(r *pricingv1.QuoteRequest) { r.Lines[1].Sku = "nope" }},
		{"CURRENCY_MISMATCH", "lines[0].sku", codes.FailedPrecondition, func(r *pricingv1.QuoteRequest) { r.CurrencyCode = "USD" }},
	} {
		t.Run(invalid.reason, func(t *testing.T) {
			request := basket(mug, 2)
			invalid.change(request)
			_, err := c.Quote(within(t, patience), request)
			got := status.Convert(err)
			if got.Code() != invalid.code || got.Message() == "" {
				t.Fatal(err)
			}
			var info *errdetails.ErrorInfo
			var bad *errdetails.BadRequest
			for _, detail := range got.Details() {
				switch detail := detail.(type) {
				case *errdetails.ErrorInfo:
					info = detail
				case *errdetails.BadRequest:
					bad = detail
				default:
					t.Errorf("an unknown detail: %v", detail)
				}
			}
			if info.GetReason() != invalid.reason || info.GetDomain() != "hybrid.pricing" {
				t.Errorf("info: %v", info)
			}
			if violations := bad.GetFieldViolations(); len(violations) != 1 || violations[0].Field != invalid.field {
				t.Errorf("fields: %v", violations)
			}
		})
	}
	c.serves(t, true)
}

func TestAMessageMayBeAMebibyteAndNoLarger(t *testing.T) {
	c := connect(t, quick)
	for size, code := range map[int]codes.Code{
		maxMessage: codes.OK, maxMessage + 1: codes.ResourceExhausted, 2 * maxMessage: codes.ResourceExhausted,
	} {
		request := basket(mug, 1)
		// Padded with a field that is not known; its tag and length take four bytes.
		padding := protowire.AppendTag(nil, 15, protowire.BytesType)
		padding = protowire.AppendBytes(padding, make([]byte, size-proto.Size(request)-4))
		request.ProtoReflect().SetUnknown(padding)
		if proto.Size(request) != size {
			t.Fatalf("a request of %d bytes, not %d", proto.Size(request), size)
		}
		if _, err := c.Quote(within(t, patience), request); status.Code(err) != code {
			t.Errorf("%d bytes: %v, not %v", size, err, code)
		}
	}
	c.serves(t, true)
}

// Together they are much more than the windows of the connection, which are the smallest that grpc-go has.
func TestTheLargestAnswersComeWholeThroughSmallWindows(t *testing.T) {
	c := connect(t, quick, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10))
	answers := make(chan error)
	for range 200 {
		go func() {
			quote, err := c.Quote(within(t, patience), basket(longSKU, 200))
			if err == nil && (len(quote.Lines) != 200 || quote.GrossMinor != 200*1_190 || proto.Size(quote) < 15_000) {
				err = errors.New("the answer is not whole")
			}
			answers <- err
		}()
	}
	for range 200 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

func TestCallsBeyondTheLimitOfAConnectionWaitForTheirTurn(t *testing.T) {
	c := connect(t, delayed)
	// Until the settings have come grpc-go allows fewer.
	c.serves(t, false)
	answers := make(chan error)
	for range 2*maxStreams + 10 {
		go func() {
			_, err := c.Quote(within(t, patience), basket(mug, 1))
			answers <- err
		}()
	}
	for range 2*maxStreams + 10 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

func TestCallsThatAreNotOrdinary(t *testing.T) {
	c := connect(t, quick)
	quote := func(ctx context.Context, options ...grpc.CallOption) error {
		_, err := c.Quote(ctx, basket(mug, 1), options...)
		return err
	}
	invoke := func(method string) func(context.Context) error {
		return func(ctx context.Context) error {
			return c.conn.Invoke(ctx, method, basket(mug, 1), &pricingv1.QuoteResponse{})
		}
	}
	for _, call := range []struct {
		name string
		call func(context.Context) error
		code codes.Code
	}{
		{"compressed", func(ctx context.Context) error { return quote(ctx, grpc.UseCompressor(gzip.Name)) }, codes.Unimplemented},
		{"an unknown method", invoke("/hybrid.pricing.v1.PricingService/Other"), codes.Unimplemented},
		{"an unknown service", invoke("/hybrid.pricing.v2.PricingService/Quote"), codes.Unimplemented},
		{"no service at all", invoke("/"), codes.Unimplemented},
		// HTTP's status 415, which grpc-go reads so.
		{"another encoding", func(ctx context.Context) error { return quote(ctx, grpc.ForceCodec(asJSON{})) }, codes.Unknown},
		{"metadata", func(ctx context.Context) error {
			return quote(metadata.AppendToOutgoingContext(ctx, "x-text", "a b,c", "x-text", "again", "x-bytes-bin", "\x00\xff\x80", "x-empty", ""))
		}, codes.OK},
		{"much metadata", func(ctx context.Context) error {
			return quote(metadata.AppendToOutgoingContext(ctx, "x-text", strings.Repeat("x", 8<<10)))
		}, codes.OK},
		// grpc-go knows the limit from the settings, and does not send it.
		{"too much metadata", func(ctx context.Context) error {
			return quote(metadata.AppendToOutgoingContext(ctx, "x-text", strings.Repeat("x", 20<<10)))
		}, codes.Internal},
		{"wait for ready", func(ctx context.Context) error { return quote(ctx, grpc.WaitForReady(true)) }, codes.OK},
	} {
		t.Run(name(call.name), func(t *testing.T) {
			if err := call.call(within(t, patience)); status.Code(err) != call.code {
				t.Errorf("%v, not %v", err, call.code)
			}
			c.serves(t, true)
		})
	}
}

func TestOneConnectionServesEverything(t *testing.T) {
	c := connect(t, quick)
	watch, err := c.health.Watch(within(t, patience), &healthpb.HealthCheckRequest{Service: "hybrid.pricing.v1.PricingService"})
	if err != nil {
		t.Fatal(err)
	}
	if news, err := watch.Recv(); err != nil || news.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(news, err)
	}
	stream, err := c.QuoteStream(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	for _, sku := range []string{mug, "nope", longSKU} {
		if err := stream.Send(&pricingv1.QuoteStreamRequest{CorrelationId: sku, Quote: basket(sku, 1)}); err != nil {
			t.Fatal(err)
		}
		c.serves(t, true)
		answer, err := stream.Recv()
		if err != nil || answer.CorrelationId != sku || (answer.GetError().GetReason() == "SKU_UNKNOWN") != (sku == "nope") {
			t.Fatal(answer, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Fatalf("%v, not the end", err)
	}
	ended, err := c.QuoteStream(within(t, 300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ended.Recv(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a stream at its deadline: %v", err)
	}
	c.serves(t, true)
}

// asJSON has the content type application/grpc+json.
type asJSON struct{}

func (asJSON) Name() string                    { return "json" }
func (asJSON) Marshal(any) ([]byte, error)     { return bytes.Clone([]byte("{}")), nil }
func (asJSON) Unmarshal(_ []byte, _ any) error { return errors.New("no answer was expected") }

// name makes a sentence the name of a test.
func name(sentence string) string { return strings.ReplaceAll(sentence, " ", "_") }
