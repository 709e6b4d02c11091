package grpcgo

import (
	"context"
	"os"
	"strconv"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// It ends the data plane, so no test of a later file asks that one.
func TestTheDrainAnswersWhatIsInFlight(t *testing.T) {
	const calls = 50
	sent := make(begun, calls)
	c := connect(t, delayed, grpc.WithStatsHandler(sent))
	pid, err := strconv.Atoi(given(t, delayedPID))
	must(t, err)
	process, err := os.FindProcess(pid)
	must(t, err)
	answers := make(chan error)
	for range calls {
		go func() {
			_, err := c.Quote(within(t, patience), basket(mug, 1))
			answers <- err
		}()
	}
	for range calls {
		<-sent
	}
	// What was sent before it has been read when it is answered.
	c.serves(t, false)
	must(t, process.Signal(syscall.SIGTERM))
	for range calls {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	// The client was told to make no more calls on this connection, and nobody takes another one.
	if _, err = c.Quote(within(t, patience), basket(mug, 1)); status.Code(err) != codes.Unavailable {
		t.Errorf("%v after the drain", err)
	}
}

// begun receives once for each of the first calls whose head has been sent.
type begun chan struct{}

func (begun) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (begun) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (begun) HandleConn(context.Context, stats.ConnStats)                       {}

func (b begun) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutHeader); ok {
		select {
		case b <- struct{}{}:
		default:
		}
	}
}
