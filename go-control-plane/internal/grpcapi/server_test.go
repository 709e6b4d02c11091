package grpcapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/snapshot"
)

// causes remembers why streams ended.
type causes struct {
	mu    sync.Mutex
	ended []string
	// applied has the times from commits until nodes had applied them.
	applied []time.Duration
}

func (c *causes) UpdateSent(bool, int) {}
func (c *causes) Rejected(int)         {}
func (c *causes) UpdateApplied(afterCommit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied = append(c.applied, afterCommit)
}
func (c *causes) StreamEnded(cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, cause)
}

func (c *causes) has(cause string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.ended {
		if e == cause {
			return true
		}
	}
	return false
}

type failing struct {
	catalog.Repository[catalog.Item]
	err error
}

func (f failing) Get(context.Context, string) (catalog.Item, error) {
	if f.err == nil {
		panic("a fault of ours")
	}
	return catalog.Item{}, f.err
}

type served struct {
	server    *grpc.Server
	health    *grpcapi.Health
	conn      *grpc.ClientConn
	address   string
	publisher *snapshot.Publisher
	registry  *fleet.Registry
	observer  *causes
	draining  chan struct{}
}

// answersTimeout is grpcapi.AnswersTimeout for tests.
const answersTimeout = 500 * time.Millisecond

func serve(t *testing.T, items catalog.Repository[catalog.Item]) *served {
	t.Helper()
	return serveEncoded(t, items, contract.UpdateEncoder{})
}

func serveEncoded(t *testing.T, items catalog.Repository[catalog.Item], encoder snapshot.Encoder) *served {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := &served{publisher: snapshot.NewPublisher(encoder), observer: &causes{}, draining: make(chan struct{}),
		registry: fleet.NewRegistry(time.Now)}
	s.server, s.health = grpcapi.NewServer(grpcapi.Services{
		Catalog:  &grpcapi.Catalog{Items: catalog.NewCollection(items), Log: log},
		Snapshot: &grpcapi.Snapshot{Publisher: s.publisher, Registry: s.registry, Observer: s.observer, Log: log, Draining: s.draining, Patience: 300 * time.Millisecond},
		Fleet:    &grpcapi.Fleet{Registry: s.registry, Publisher: s.publisher, Log: log},
		Ledger:   &grpcapi.Ledger{Log: log},
	}, log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	go s.server.Serve(grpcapi.Listen(listener, answersTimeout))
	s.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close(); s.server.Stop() })
	return s
}

// raw is a codec that sends bytes unchanged.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (raw) Unmarshal([]byte, any) error   { return nil }
func (raw) Name() string                  { return "proto" }

func reason(err error) (codes.Code, string) {
	s := status.Convert(err)
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == grpcapi.Domain {
			return s.Code(), info.GetReason()
		}
	}
	return s.Code(), ""
}

func TestErrorsAreTyped(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   codes.Code
		reason string
	}{
		{&catalog.KeyError{Key: catalog.Key{Kind: catalog.KindItem, Name: "x"}, Err: catalog.ErrNotFound}, codes.NotFound, "NOT_FOUND"},
		{fmt.Errorf("%w: refused", catalog.ErrUnavailable), codes.Unavailable, "STORE_UNAVAILABLE"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		{fmt.Errorf("secret of the store"), codes.Internal, "INTERNAL"},
		{nil, codes.Internal, "INTERNAL"}, // a panic
	} {
		s := serve(t, failing{err: c.err})
		_, err := catalogv1.NewCatalogServiceClient(s.conn).GetItem(t.Context(), &catalogv1.GetItemRequest{Sku: "x"})
		if code, why := reason(err); code != c.code || why != c.reason || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

// The contract leaves messages that cannot be decoded to gRPC: INTERNAL, on a unary call and on a stream. The server goes on.
func TestMalformedMessages(t *testing.T) {
	s := serve(t, failing{err: catalog.ErrNotFound})
	var nothing []byte
	err := s.conn.Invoke(t.Context(), catalogv1.CatalogService_GetItem_FullMethodName, []byte{0xff, 0xff}, &nothing, grpc.ForceCodec(raw{}))
	if status.Code(err) != codes.Internal {
		t.Errorf("unary: %v", err)
	}
	err = s.conn.Invoke(t.Context(), catalogv1.CatalogService_GetItem_FullMethodName, make([]byte, 2<<20), &nothing, grpc.ForceCodec(raw{}))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("oversized: %v", err)
	}
	stream, err := s.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		snapshotv1.SnapshotService_StreamSnapshot_FullMethodName, grpc.ForceCodec(raw{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg([]byte{0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	err = stream.RecvMsg(&nothing)
	if status.Code(err) != codes.Internal {
		t.Errorf("stream: %v", err)
	}
	if _, err := catalogv1.NewCatalogServiceClient(s.conn).GetItem(t.Context(), &catalogv1.GetItemRequest{Sku: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("afterwards: %v", err)
	}
}

func hello(id string) *snapshotv1.StreamSnapshotRequest {
	return &snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Hello{Hello: &snapshotv1.Hello{NodeId: id}}}
}

func TestProtocolOfTheStream(t *testing.T) {
	ack := &snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Ack{Ack: &snapshotv1.Ack{Nonce: "none"}}}
	for name, c := range map[string]struct {
		say    []*snapshotv1.StreamSnapshotRequest
		loaded bool
		code   codes.Code
		reason string
	}{
		"no hello":       {[]*snapshotv1.StreamSnapshotRequest{ack}, true, codes.InvalidArgument, "FIELDS_INVALID"},
		"bad node id":    {[]*snapshotv1.StreamSnapshotRequest{hello("a b")}, true, codes.InvalidArgument, "FIELDS_INVALID"},
		"two hellos":     {[]*snapshotv1.StreamSnapshotRequest{hello("a"), hello("a")}, true, codes.InvalidArgument, "FIELDS_INVALID"},
		"unknown nonce":  {[]*snapshotv1.StreamSnapshotRequest{hello("a"), ack}, true, codes.InvalidArgument, "FIELDS_INVALID"},
		"nothing loaded": {[]*snapshotv1.StreamSnapshotRequest{hello("a")}, false, codes.Unavailable, "SNAPSHOT_NOT_READY"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, failing{})
			if c.loaded {
				s.publisher.Replace(snapshot.Whole{Version: 1})
			}
			stream, err := snapshotv1.NewSnapshotServiceClient(s.conn).StreamSnapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range c.say {
				stream.Send(m)
			}
			for err == nil {
				_, err = stream.Recv()
			}
			if code, why := reason(err); code != c.code || why != c.reason {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestDrainEndsStreams(t *testing.T) {
	s := serve(t, failing{})
	s.publisher.Replace(snapshot.Whole{Version: 1})
	stream, err := snapshotv1.NewSnapshotServiceClient(s.conn).StreamSnapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(hello("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	close(s.draining)
	for err == nil {
		_, err = stream.Recv()
	}
	if code, why := reason(err); code != codes.Unavailable || why != "DRAINING" {
		t.Error(err)
	}
}
