package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/snapshot"
)

const (
	// partSize is the largest number of resources in one part of an update. A part of partBytes gets no further resource, so
	// that it stays below gRPC's default limit of 4 MiB.
	partSize  = 1_000
	partBytes = 1 << 20
	// heartbeatInterval is the interval of heartbeats in each direction. A node that misses missedHeartbeats is cut off.
	heartbeatInterval = time.Second
	missedHeartbeats  = 3
	helloTimeout      = 5 * time.Second
	// maxUnanswered is the largest number of updates that may be without an Ack.
	maxUnanswered = 256
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
	// Draining is closed to end all streams.
	Draining <-chan struct{}
}

type snapshotStream = snapshotv1.SnapshotService_StreamSnapshotServer

// StreamSnapshot serves one node. It sends in a separate goroutine, so that a node that does not read blocks only its own
// stream.
func (s *Snapshot) StreamSnapshot(stream snapshotStream) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	received := make(chan *snapshotv1.StreamSnapshotRequest)
	receiving := make(chan error, 1)
	go func() { receiving <- receive(ctx, stream, received) }()

	hello, err := s.hello(ctx, received, receiving)
	if err != nil {
		s.Observer.StreamEnded("no_hello")
		return err
	}
	subscription, err := s.Publisher.Subscribe(snapshot.Held{Version: hello.GetHeldVersion(), Digest: hello.GetHeldDigest()})
	if err != nil {
		s.Observer.StreamEnded("not_ready")
		return answer(ctx, s.Log, err)
	}
	defer subscription.Close()
	session := s.Registry.Connect(hello.GetNodeId(), hello.GetSoftwareVersion(), hello.GetHeldVersion())
	defer session.Disconnect()
	log := s.Log.With("node_id", hello.GetNodeId())
	log.InfoContext(ctx, "node connected", "software_version", hello.GetSoftwareVersion(), "held_version", hello.GetHeldVersion(),
		"first_version", subscription.First.Version, "authoritative", subscription.First.Authoritative)

	n := &node{snapshot: s, stream: stream, session: session, subscription: subscription, unanswered: make(chan sent, maxUnanswered)}
	cause, err := n.serve(ctx, received, receiving)
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

// node is one stream after its Hello.
type node struct {
	snapshot     *Snapshot
	stream       snapshotStream
	session      *fleet.Session
	subscription *snapshot.Subscription
	// unanswered has the updates without an Ack, in the order in which they were sent.
	unanswered chan sent
	// offered is the newest update that was sent completely.
	offered atomic.Pointer[snapshot.Update]
}

type sent struct {
	nonce  string
	update *snapshot.Update
	// first is true for the first update of the stream, whose age is not a matter of convergence.
	first bool
}

var errSlow = errors.New("the node does not keep up")

// serve runs the stream until it ends, and returns the cause.
func (n *node) serve(ctx context.Context, received <-chan *snapshotv1.StreamSnapshotRequest, receiving <-chan error) (cause string, err error) {
	sending := make(chan error, 1)
	go func() { sending <- n.send(ctx) }()
	alive := time.NewTimer(missedHeartbeats * heartbeatInterval)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return "gone", status.FromContextError(ctx.Err()).Err()
		case <-n.snapshot.Draining:
			return "draining", draining()
		case <-n.session.Replaced():
			return "replaced", Status(codes.Aborted, "NODE_REPLACED", "the node has connected anew")
		case <-alive.C:
			return "silent", Status(codes.DeadlineExceeded, "HEARTBEAT_MISSING", "three heartbeats were missed")
		case err := <-receiving:
			return "gone", ended(err)
		case err := <-sending:
			if errors.Is(err, errSlow) {
				return "slow", Status(codes.ResourceExhausted, "NODE_SLOW", "the node does not keep up with updates")
			}
			return "gone", err
		case message := <-received:
			alive.Reset(missedHeartbeats * heartbeatInterval)
			if err := n.take(ctx, message); err != nil {
				return "protocol", err
			}
		}
	}
}

// take handles one message of the node.
func (n *node) take(ctx context.Context, message *snapshotv1.StreamSnapshotRequest) error {
	switch m := message.GetMessage().(type) {
	case *snapshotv1.StreamSnapshotRequest_Heartbeat:
		n.session.Heartbeat()
		return nil
	case *snapshotv1.StreamSnapshotRequest_Ack:
		return n.acknowledged(ctx, m.Ack)
	}
	return answer(ctx, n.snapshot.Log, catalog.Invalid("message", "must be an Ack or a Heartbeat after the Hello"))
}

func (n *node) acknowledged(ctx context.Context, ack *snapshotv1.Ack) error {
	var answered sent
	select {
	case answered = <-n.unanswered:
	default:
	}
	if answered.update == nil || answered.nonce != ack.GetNonce() {
		return answer(ctx, n.snapshot.Log, catalog.Invalid("ack.nonce", "is not that of the oldest update without an Ack"))
	}
	rejects := make([]fleet.Reject, 0, len(ack.GetRejects()))
	for i, r := range ack.GetRejects() {
		key, ok := contract.ToResourceKey(r.GetKey())
		if !ok {
			return answer(ctx, n.snapshot.Log, catalog.Invalid(fmt.Sprintf("ack.rejects[%d].key", i), "names no resource"))
		}
		rejects = append(rejects, fleet.Reject{Key: key, Version: r.GetVersion(), Field: r.GetField(), Code: r.GetCode(), Text: r.GetText()})
		n.snapshot.Log.WarnContext(ctx, "node rejected a resource", "resource", key.String(), "version", r.GetVersion(),
			"field", r.GetField(), "code", r.GetCode(), "text", r.GetText())
	}
	u := answered.update
	named := make([]catalog.Key, 0, len(u.Upserts)+len(u.Removals))
	if !u.Authoritative {
		for _, r := range u.Upserts {
			named = append(named, r.Key())
		}
		named = append(named, u.Removals...)
	}
	appliedAt := contract.ToTime(ack.GetAppliedAt())
	if !ack.GetAppliedAt().IsValid() || appliedAt.IsZero() {
		appliedAt = time.Now().UTC()
	}
	n.session.Acknowledged(ack.GetVersion(), appliedAt, u.Authoritative, named, rejects)
	if !answered.first {
		n.snapshot.Observer.UpdateApplied(appliedAt.Sub(u.CommittedAt))
	}
	if len(rejects) > 0 {
		n.snapshot.Observer.Rejected(len(rejects))
	}
	return nil
}

// send sends updates and heartbeats until ctx is done, the node falls behind, or the stream fails.
func (n *node) send(ctx context.Context) error {
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	sequence := 0
	update := n.subscription.First
	for {
		if update != nil {
			sequence++
			if err := n.sendUpdate(update, fmt.Sprintf("%d-%d", update.Version, sequence)); err != nil {
				return err
			}
		}
		update = nil
		select {
		case <-ctx.Done():
			return nil
		case next, ok := <-n.subscription.Updates():
			if !ok {
				return errSlow
			}
			update = next
		case <-heartbeat.C:
			u := n.offered.Load()
			err := n.stream.Send(&snapshotv1.StreamSnapshotResponse{Message: &snapshotv1.StreamSnapshotResponse_Heartbeat{
				Heartbeat: &snapshotv1.Heartbeat{Version: u.Version, Digest: u.Digest, SentAt: timestamppb.Now()}}})
			if err != nil {
				return err
			}
		}
	}
}

func (n *node) sendUpdate(u *snapshot.Update, nonce string) error {
	select {
	case n.unanswered <- sent{nonce, u, u == n.subscription.First}:
	default:
		return errSlow
	}
	upserts, removals := u.Upserts, u.Removals
	for {
		part := &snapshotv1.Update{
			Nonce: nonce, Version: u.Version, Authoritative: u.Authoritative, Digest: u.Digest,
			CommittedAt: contract.Timestamp(u.CommittedAt),
		}
		upserts, removals = fill(part, upserts, removals)
		if !part.MoreFollows {
			n.offered.Store(u)
			n.session.Offered(u.Version)
		}
		err := n.stream.Send(&snapshotv1.StreamSnapshotResponse{Message: &snapshotv1.StreamSnapshotResponse_Update{Update: part}})
		if err != nil {
			return err
		}
		if !part.MoreFollows {
			n.snapshot.Observer.UpdateSent(u.Authoritative, len(u.Upserts)+len(u.Removals))
			return nil
		}
	}
}

// fill moves resources and keys into a part until it is full, and returns those that are left.
func fill(part *snapshotv1.Update, upserts []catalog.AnyResource, removals []catalog.Key) ([]catalog.AnyResource, []catalog.Key) {
	size := 0
	for len(upserts) > 0 && len(part.Upserts) < partSize && size < partBytes {
		resource := contract.Resource(upserts[0])
		size += proto.Size(resource)
		part.Upserts, upserts = append(part.Upserts, resource), upserts[1:]
	}
	for len(upserts) == 0 && len(removals) > 0 && len(part.Upserts)+len(part.Removals) < partSize && size < partBytes {
		part.Removals, removals = append(part.Removals, contract.ResourceKey(removals[0])), removals[1:]
	}
	part.MoreFollows = len(upserts)+len(removals) > 0
	return upserts, removals
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
