package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/twins/internal/pricing"
)

const (
	heartbeat   = time.Second
	silence     = 3500 * time.Millisecond
	backoffBase = 100 * time.Millisecond
	backoffCap  = 5 * time.Second
	// rejectsInPart is how many rejects one part of an Ack has.
	rejectsInPart = 64
)

// errDiverged means that both sides' ideas of the state have parted.
var errDiverged = errors.New("the state has diverged; asking for the whole")

// Client follows the control plane. Only Catalog may be called while it runs.
type Client struct {
	service      snapshotv1.SnapshotServiceClient
	nodeID       string
	log          *slog.Logger
	maxStaleness time.Duration

	catalog atomic.Pointer[pricing.Catalog]
	state   *state
	// whole says that the whole state is to be asked for, whatever is held.
	whole bool
	// confirmed is when the state was last known to be the newest.
	confirmed time.Time
	suspended bool
	// Applied is called after each state that was applied, if it is set.
	Applied func()
}

// NewClient returns a client of the control plane behind conn. When its state has not been confirmed for maxStaleness, no discount
// is granted until it is: budgets may be spent by then.
func NewClient(conn grpc.ClientConnInterface, nodeID string, maxStaleness time.Duration, log *slog.Logger) *Client {
	return &Client{
		service: snapshotv1.NewSnapshotServiceClient(conn), nodeID: nodeID, maxStaleness: maxStaleness, log: log, state: newState(),
	}
}

// Catalog returns what prices quotes now; nil if there never was a snapshot.
func (c *Client) Catalog() *pricing.Catalog { return c.catalog.Load() }

// Run follows the control plane until the context ends.
func (c *Client) Run(ctx context.Context) {
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := c.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errDiverged) {
			c.whole = true
		}
		if time.Since(began) > backoffCap {
			attempt = 0
		}
		// Full jitter, so that nodes do not come back all at once.
		pause := rand.N(min(backoffBase<<min(attempt, 10), backoffCap))
		c.log.Warn("no stream of snapshots", "error", err, "retry_in", pause)
		retry := time.After(pause)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-retry:
				waiting = false
			case <-c.stale():
				c.suspend()
			}
		}
	}
}

// follow holds one stream until it ends.
func (c *Client) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.service.StreamSnapshot(ctx)
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	hello := &snapshotv1.Hello{
		NodeId: c.nodeID, SoftwareVersion: "twin", HeldVersion: c.state.version, HeldDigest: c.state.digest, Whole: c.whole,
	}
	if err := stream.Send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Hello{Hello: hello}}); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	heard, failed := make(chan *snapshotv1.StreamSnapshotResponse), make(chan error, 1)
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case heard <- message:
			case <-ctx.Done():
				return
			}
		}
	}()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	silent := time.NewTimer(silence)
	defer silent.Stop()
	first := true
	var parts []*snapshotv1.Update
	for {
		select {
		case err := <-failed:
			return fmt.Errorf("read the stream: %w", err)
		case <-silent.C:
			return errors.New("the control plane was silent")
		case <-c.stale():
			c.suspend()
		case <-beat.C:
			own := &snapshotv1.Heartbeat{Version: c.state.version, Digest: c.state.digest, SentAt: timestamppb.Now()}
			if err := stream.Send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Heartbeat{Heartbeat: own}}); err != nil {
				return fmt.Errorf("send a heartbeat: %w", err)
			}
		case message := <-heard:
			silent.Reset(silence)
			if theirs := message.GetHeartbeat(); theirs != nil && theirs.GetVersion() == c.state.version {
				if theirs.GetDigest() != c.state.digest {
					return fmt.Errorf("at version %d the control plane has another digest: %w", theirs.GetVersion(), errDiverged)
				}
				c.confirm()
			}
			update := message.GetUpdate()
			if update == nil {
				continue
			}
			if parts = append(parts, update); update.GetMoreFollows() {
				continue
			}
			if err := c.apply(stream, parts, first); err != nil {
				return err
			}
			parts, first = nil, false
		}
	}
}

// apply applies a complete update, and answers it.
func (c *Client) apply(stream snapshotv1.SnapshotService_StreamSnapshotClient, parts []*snapshotv1.Update, first bool) error {
	last := parts[len(parts)-1]
	rejects, err := c.state.apply(parts)
	if err != nil {
		return fmt.Errorf("%w: %w", errDiverged, err)
	}
	c.whole = c.whole && !slices.ContainsFunc(parts, (*snapshotv1.Update).GetAuthoritative)
	c.confirmed, c.suspended = time.Now(), false
	c.publish()
	for _, r := range rejects {
		c.log.Warn("a resource of the catalog was rejected", "resource", r.GetKey().GetName(), "field", r.GetField(), "code", r.GetCode())
	}
	if first {
		rejects = c.state.rejects()
	}
	for {
		ack := &snapshotv1.Ack{
			Nonce: last.GetNonce(), Version: c.state.version, Digest: c.state.digest, Rejects: rejects, AppliedAt: timestamppb.Now(),
		}
		if len(rejects) > rejectsInPart {
			ack.Rejects, rejects, ack.MoreFollows = rejects[:rejectsInPart], rejects[rejectsInPart:], true
		}
		if err := stream.Send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Ack{Ack: ack}}); err != nil {
			return fmt.Errorf("answer an update: %w", err)
		}
		if !ack.GetMoreFollows() {
			return nil
		}
	}
}

// confirm notes that the state is the newest.
func (c *Client) confirm() {
	c.confirmed = time.Now()
	if c.suspended {
		c.suspended = false
		c.publish()
		c.log.Info("discounts are granted again")
	}
}

// stale returns a channel that is ready when the state has not been confirmed for too long.
func (c *Client) stale() <-chan time.Time {
	if c.suspended || c.state.version == 0 {
		return nil
	}
	return time.After(time.Until(c.confirmed.Add(c.maxStaleness)))
}

// suspend lets quotes go on without discounts.
func (c *Client) suspend() {
	c.suspended = true
	c.publish()
	c.log.Warn("no news of budgets for too long: no discount is granted", "max_staleness", c.maxStaleness)
}

func (c *Client) publish() {
	catalog := c.state.catalog
	if c.suspended {
		catalog = catalog.WithoutDiscounts()
	}
	c.catalog.Store(catalog)
	if c.Applied != nil {
		c.Applied()
	}
}
