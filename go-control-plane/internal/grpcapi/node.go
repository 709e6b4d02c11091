package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/snapshot"
)

// maxLoggedRejects is how many rejects of one Ack are logged one by one.
const maxLoggedRejects = 20

// maxUnanswered is how many updates may be without an Ack. A node that has so many gets what follows as one update.
const maxUnanswered = 16

// node is one stream after its Hello.
type node struct {
	snapshot     *Snapshot
	stream       snapshotStream
	session      *fleet.Session
	subscription *snapshot.Subscription
	// answered receives a value when an update has been answered.
	answered chan struct{}
	// rejects are those of the Ack whose parts are being received.
	rejects []fleet.Reject

	mu sync.Mutex
	// unanswered has the updates without an Ack, in the order in which they were sent.
	unanswered []*sent
	// sending is when the message that is being sent was begun; zero if none is.
	sending time.Time
	// offered is the state after the newest update that was sent completely.
	offered snapshot.Held
}

type sent struct {
	update *snapshot.Update
	// first is true for the first update of the stream, whose age is not a matter of convergence.
	first bool
	// at is when its last part was sent; zero before that.
	at time.Time
}

// serve runs the stream until it ends, and returns the cause.
func (n *node) serve(ctx context.Context, first *snapshot.Update, received <-chan *snapshotv1.StreamSnapshotRequest, receiving <-chan error) (cause string, err error) {
	sending := make(chan error, 1)
	go func() {
		var err error
		defer func() { sending <- err }()
		// As for receiving.
		defer recovered(ctx, n.snapshot.Log, snapshotv1.SnapshotService_StreamSnapshot_FullMethodName, &err)
		err = n.send(ctx, first)
	}()
	alive := time.NewTimer(missedHeartbeats * heartbeatInterval)
	defer alive.Stop()
	patience := n.snapshot.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	check := time.NewTicker(min(time.Second, patience))
	defer check.Stop()
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
			return "gone", err
		case now := <-check.C:
			if n.isSlow(now, patience) {
				return "slow", Status(codes.ResourceExhausted, "NODE_SLOW", "the node does not take or answer updates")
			}
		case message := <-received:
			alive.Reset(missedHeartbeats * heartbeatInterval)
			if err := n.take(ctx, message); err != nil {
				return "protocol", err
			}
		}
	}
}

func (n *node) isSlow(now time.Time, patience time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.sending.IsZero() && now.Sub(n.sending) > patience {
		return true
	}
	return len(n.unanswered) > 0 && !n.unanswered[0].at.IsZero() && now.Sub(n.unanswered[0].at) > 3*patience
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

// acknowledged handles an Ack, or a part of one. It is refused if it does not answer what was sent.
func (n *node) acknowledged(ctx context.Context, ack *snapshotv1.Ack) error {
	refuse := func(field, reason string) error {
		return answer(ctx, n.snapshot.Log, catalog.Invalid(field, reason))
	}
	answered := n.oldestUnanswered()
	if answered == nil || answered.update.Nonce != ack.GetNonce() {
		return refuse("ack.nonce", "is not that of the oldest update without an Ack")
	}
	u := answered.update
	if ack.GetVersion() != u.State.Version {
		return refuse("ack.version", "is not that of the update")
	}
	if ack.GetDigest() != u.State.Digest {
		return refuse("ack.digest", "is not that of the update")
	}
	for i, r := range ack.GetRejects() {
		key, ok := contract.ToResourceKey(r.GetKey())
		if !ok {
			return refuse(fmt.Sprintf("ack.rejects[%d].key", i), "names no resource")
		}
		offered, named := u.Version(key)
		if !named && answered.first && !u.Authoritative {
			// A reject from before the stream. When the resource has changed since, the news of it is still to come.
			if !n.snapshot.Publisher.Holds(key, r.GetVersion()) {
				continue
			}
		} else if !named || offered != r.GetVersion() || offered == 0 {
			return refuse(fmt.Sprintf("ack.rejects[%d]", i), "is not a resource of the update")
		}
		n.rejects = append(n.rejects, fleet.Reject{Key: key, Version: r.GetVersion(), Field: r.GetField(), Code: r.GetCode(), Text: r.GetText()})
	}
	if len(n.rejects) > n.snapshot.Publisher.Stats().Resources+len(u.Entries) {
		return refuse("ack.rejects", "are more than there are resources")
	}
	if !ack.GetMoreFollows() {
		n.applied(ctx, answered)
	}
	return nil
}

// oldestUnanswered returns the oldest update that was sent completely and has no Ack; nil if there is none.
func (n *node) oldestUnanswered() *sent {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.unanswered) == 0 || n.unanswered[0].at.IsZero() {
		return nil
	}
	return n.unanswered[0]
}

// applied handles a complete Ack.
func (n *node) applied(ctx context.Context, answered *sent) {
	n.mu.Lock()
	n.unanswered = n.unanswered[1:]
	n.mu.Unlock()
	select {
	case n.answered <- struct{}{}:
	default:
	}
	u, rejects := answered.update, n.rejects
	n.rejects = nil
	for i, r := range rejects {
		if i == maxLoggedRejects {
			n.snapshot.Log.WarnContext(ctx, "node rejected more resources", "rejects", len(rejects)-i)
			break
		}
		n.snapshot.Log.WarnContext(ctx, "node rejected a resource", "resource", r.Key.String(), "version", r.Version,
			"field", r.Field, "code", r.Code, "text", r.Text)
	}
	// The first Ack of a stream lists what the node rejects of all that it holds.
	all := u.Authoritative || answered.first
	var named []catalog.Key
	if !all {
		named = make([]catalog.Key, len(u.Entries))
		for i, e := range u.Entries {
			named[i] = e.Key
		}
	}
	now := time.Now().UTC()
	n.session.Acknowledged(u.State.Version, now, all, named, rejects)
	if !answered.first && !u.LackedSince.IsZero() {
		n.snapshot.Observer.UpdateApplied(max(0, now.Sub(u.LackedSince)))
	}
	if len(rejects) > 0 {
		n.snapshot.Observer.Rejected(len(rejects))
	}
}

// send sends updates and heartbeats until ctx is done or the stream fails.
func (n *node) send(ctx context.Context, first *snapshot.Update) error {
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	if err := n.sendUpdate(first, true); err != nil {
		return err
	}
	for {
		if n.mayOffer() {
			if u := n.subscription.Next(); u != nil {
				if err := n.sendUpdate(u, false); err != nil {
					return err
				}
				continue
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.subscription.Wake():
		case <-n.answered:
		case <-heartbeat.C:
			if err := n.sendHeartbeat(); err != nil {
				return err
			}
		}
	}
}

// sendHeartbeat is for the goroutine that sends: only that changes what is offered.
func (n *node) sendHeartbeat() error {
	heartbeat := &snapshotv1.Heartbeat{Version: n.offered.Version, Digest: n.offered.Digest, SentAt: timestamppb.Now()}
	if n.snapshot.LedgerAge != nil {
		if age, known := n.snapshot.LedgerAge(); known {
			heartbeat.LedgerAge = durationpb.New(age)
		}
	}
	return n.sendMessage(&snapshotv1.StreamSnapshotResponse{Message: &snapshotv1.StreamSnapshotResponse_Heartbeat{Heartbeat: heartbeat}})
}

func (n *node) mayOffer() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.unanswered) < maxUnanswered
}

func (n *node) sendUpdate(u *snapshot.Update, first bool) error {
	offer := &sent{update: u, first: first}
	n.mu.Lock()
	n.unanswered = append(n.unanswered, offer)
	n.mu.Unlock()
	for i, part := range u.Parts() {
		if part.Last {
			// Before it is sent, because the answer may come at once.
			n.mu.Lock()
			offer.at, n.offered = time.Now(), u.State
			n.mu.Unlock()
			n.session.Offered(u.State.Version)
		}
		if err := n.sendMessage(encoded(u.Message(i))); err != nil {
			return err
		}
	}
	n.snapshot.Observer.UpdateSent(u.Authoritative, u.Sent())
	return nil
}

func (n *node) sendMessage(message any) error {
	n.setSending(time.Now())
	err := n.stream.SendMsg(message)
	n.setSending(time.Time{})
	if err != nil {
		return fmt.Errorf("send to node: %w", errors.Join(err, n.stream.Context().Err()))
	}
	return nil
}

func (n *node) setSending(at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sending = at
}
