package grpcapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/snapshot"
)

const (
	// heartbeatInterval is the interval of heartbeats in each direction. A node that misses missedHeartbeats is cut off.
	heartbeatInterval = time.Second
	missedHeartbeats  = 3
	helloTimeout      = 5 * time.Second
	// defaultPatience lets a node through that takes 5 kB a second.
	defaultPatience = 30 * time.Second
)

// StreamObserver measures the snapshot streams.
type StreamObserver interface {
	// UpdateSent is called for each update, with the number of resources in all its parts.
	UpdateSent(authoritative bool, resources int)
	// UpdateApplied is called with the time from the commit of a version until a node had applied it.
	UpdateApplied(afterCommit time.Duration)
	// Rejected is called with the number of resources that an Ack rejects.
	Rejected(resources int)
	// StreamEnded is called with the cause: no_hello, not_ready, gone, draining, replaced, silent, slow or protocol.
	StreamEnded(cause string)
}

// Snapshot serves hybrid.snapshot.v1.SnapshotService.
type Snapshot struct {
	snapshotv1.UnimplementedSnapshotServiceServer
	Publisher *snapshot.Publisher
	Registry  *fleet.Registry
	Observer  StreamObserver
	Log       *slog.Logger
	// LedgerAge returns the age of the ledger's watermark, and false where it is not known.
	LedgerAge func() (time.Duration, bool)
	// Draining is closed to end all streams.
	Draining <-chan struct{}
	// Patience is how long a node may take nothing of what it is sent. It has thrice as long to answer an update. Zero means 30 s.
	Patience time.Duration
}

type snapshotStream = snapshotv1.SnapshotService_StreamSnapshotServer

// StreamSnapshot serves one node. It sends in a separate goroutine, so that a node that does not read blocks only its own
// stream.
func (s *Snapshot) StreamSnapshot(stream snapshotStream) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	received := make(chan *snapshotv1.StreamSnapshotRequest)
	receiving := make(chan error, 1)
	go func() {
		var err error
		defer func() { receiving <- err }()
		// The interceptors see a panic of the handler's own goroutine only.
		defer recovered(ctx, s.Log, snapshotv1.SnapshotService_StreamSnapshot_FullMethodName, &err)
		err = receive(ctx, stream, received)
	}()

	hello, err := s.hello(ctx, received, receiving)
	if err != nil {
		s.Observer.StreamEnded("no_hello")
		return err
	}
	subscription, first, err := s.Publisher.Subscribe(snapshot.Start{
		Held:  snapshot.Held{Version: hello.GetHeldVersion(), Digest: hello.GetHeldDigest()},
		Whole: hello.GetWhole(), Partial: contract.ToProgress(hello.GetPartial()),
	})
	if err != nil {
		s.Observer.StreamEnded("not_ready")
		return answer(ctx, s.Log, err)
	}
	defer subscription.Close()
	session := s.Registry.Connect(hello.GetNodeId(), hello.GetSoftwareVersion(), hello.GetHeldVersion())
	defer session.Disconnect()
	log := s.Log.With("node_id", hello.GetNodeId())
	log.InfoContext(ctx, "node connected", "software_version", hello.GetSoftwareVersion(), "held_version", hello.GetHeldVersion(),
		"first_version", first.State.Version, "authoritative", first.Authoritative, "resumes", first.Resumes)

	n := &node{snapshot: s, stream: stream, session: session, subscription: subscription, answered: make(chan struct{}, 1)}
	cause, err := n.serve(ctx, first, received, receiving)
	s.Observer.StreamEnded(cause)
	log.InfoContext(ctx, "node disconnected", "cause", cause)
	return err
}

func (s *Snapshot) hello(ctx context.Context, received <-chan *snapshotv1.StreamSnapshotRequest, receiving <-chan error) (*snapshotv1.Hello, error) {
	timer := time.NewTimer(helloTimeout)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-s.Draining:
		return nil, draining()
	case <-timer.C:
		return nil, Status(codes.DeadlineExceeded, "HELLO_MISSING", "no Hello within 5 s")
	case err := <-receiving:
		return nil, ended(err)
	case first := <-received:
		hello := first.GetHello()
		if hello == nil {
			return nil, answer(ctx, s.Log, catalog.Invalid("hello", "must be the first message"))
		}
		if !catalog.ValidKey(hello.GetNodeId()) {
			return nil, answer(ctx, s.Log, catalog.Invalid("hello.node_id", "must be 1 to 64 characters of A-Z a-z 0-9 . _ -, and neither . nor .."))
		}
		if len(hello.GetSoftwareVersion()) > 200 {
			return nil, answer(ctx, s.Log, catalog.Invalid("hello.software_version", "must be at most 200 characters"))
		}
		return hello, nil
	}
}

func receive(ctx context.Context, stream snapshotStream, received chan<- *snapshotv1.StreamSnapshotRequest) error {
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case received <- message:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func draining() error {
	return Status(codes.Unavailable, "DRAINING", "the control plane is shutting down")
}

// ended returns the answer to a stream whose client has stopped sending.
func ended(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
