package grpcapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/snapshot"
)

// script is a node that does what the test says.
type script struct {
	t      *testing.T
	stream snapshotv1.SnapshotService_StreamSnapshotClient
}

func (s *served) node(t *testing.T, hello *snapshotv1.Hello) *script {
	t.Helper()
	stream, err := snapshotv1.NewSnapshotServiceClient(s.conn).StreamSnapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := &script{t, stream}
	n.send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Hello{Hello: hello}})
	return n
}

func (n *script) send(m *snapshotv1.StreamSnapshotRequest) {
	n.t.Helper()
	if err := n.stream.Send(m); err != nil {
		n.t.Fatal(err)
	}
}

// part returns the next part of an update.
func (n *script) part() *snapshotv1.Update {
	n.t.Helper()
	for {
		m, err := n.stream.Recv()
		if err != nil {
			n.t.Fatal(err)
		}
		if u := m.GetUpdate(); u != nil {
			return u
		}
	}
}

// update returns the next update as one message.
func (n *script) update() *snapshotv1.Update {
	n.t.Helper()
	whole := &snapshotv1.Update{}
	for {
		part := n.part()
		proto.Merge(whole, part)
		if !part.GetMoreFollows() {
			whole.MoreFollows = false
			return whole
		}
	}
}

func (n *script) ack(u *snapshotv1.Update, change func(*snapshotv1.Ack)) {
	n.t.Helper()
	ack := &snapshotv1.Ack{Nonce: u.GetNonce(), Version: u.GetVersion(), Digest: u.GetDigest()}
	if change != nil {
		change(ack)
	}
	n.send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Ack{Ack: ack}})
}

// end returns why the server ended the stream.
func (n *script) end() error {
	for {
		if _, err := n.stream.Recv(); err != nil {
			return err
		}
	}
}

func reject(sku string, version int64) *snapshotv1.Reject {
	return &snapshotv1.Reject{Key: &snapshotv1.ResourceKey{Type: snapshotv1.ResourceType_RESOURCE_TYPE_ITEM, Name: sku}, Version: version,
		Field: "unit_price.minor_units", Code: "PRICE_OUT_OF_RANGE", Text: "must be 0 to 1,000,000,000,000 minor units"}
}

// eventually waits until the fleet shows what the node has reported.
func (s *served) eventually(t *testing.T, condition func(fleet.Node) bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		n, _ := s.registry.Node("a")
		if condition(n) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the fleet shows %.300v", n)
		}
	}
}

// change writes a new version of an item, which may exist.
func (s *served) change(t *testing.T, version int64, item catalog.Item, previous int64) {
	t.Helper()
	item.Version = version
	err := s.publisher.Advance(snapshot.Step{
		Log:       []snapshot.Change{{Version: version, Key: item.Key(), Previous: previous, CommittedAt: time.Now()}},
		Resources: map[catalog.Key]catalog.AnyResource{item.Key(): item},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An Ack is taken only for what was offered.
func TestAcksAnswerWhatWasOffered(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*snapshotv1.Ack)
		field  string
	}{
		"nonce":            {func(a *snapshotv1.Ack) { a.Nonce = "other" }, "ack.nonce"},
		"version":          {func(a *snapshotv1.Ack) { a.Version++ }, "ack.version"},
		"digest":           {func(a *snapshotv1.Ack) { a.Digest++ }, "ack.digest"},
		"no resource":      {func(a *snapshotv1.Ack) { a.Rejects = []*snapshotv1.Reject{{}} }, "ack.rejects[0].key"},
		"unknown resource": {func(a *snapshotv1.Ack) { a.Rejects = []*snapshotv1.Reject{reject("mug", 1), reject("none", 1)} }, "ack.rejects[1]"},
		"another version":  {func(a *snapshotv1.Ack) { a.Rejects = []*snapshotv1.Reject{reject("mug", 2)} }, "ack.rejects[0]"},
		"more than offered": {func(a *snapshotv1.Ack) {
			a.Rejects = []*snapshotv1.Reject{reject("mug", 1), reject("mug", 1), reject("mug", 1)}
		}, "ack.rejects"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, failing{})
			s.publisher.Replace(snapshot.Whole{Version: 1, Resources: []catalog.AnyResource{catalog.Item{SKU: "mug", Version: 1}}})
			n := s.node(t, &snapshotv1.Hello{NodeId: "a"})
			n.ack(n.update(), c.change)
			err := n.end()
			if code, why := reason(err); code != codes.InvalidArgument || why != "FIELDS_INVALID" || !strings.Contains(fmt.Sprint(err), c.field) {
				t.Error(err)
			}
			if a, _ := s.registry.Node("a"); a.AppliedVersion != 0 || len(a.Rejects) != 0 {
				t.Errorf("%+v", a)
			}
		})
	}
}

// A removal cannot be rejected, and a later Ack speaks of its own update only.
func TestRejectsOfADelta(t *testing.T) {
	s := serve(t, failing{})
	mug, pen := catalog.Item{SKU: "mug", Version: 1}, catalog.Item{SKU: "pen", Version: 1}
	s.publisher.Replace(snapshot.Whole{Version: 1, Resources: []catalog.AnyResource{mug, pen}})
	n := s.node(t, &snapshotv1.Hello{NodeId: "a"})
	n.ack(n.update(), func(a *snapshotv1.Ack) { a.Rejects = []*snapshotv1.Reject{reject("mug", 1), reject("pen", 1)} })
	s.eventually(t, func(n fleet.Node) bool { return n.AppliedVersion == 1 && len(n.Rejects) == 2 })
	s.change(t, 2, mug, 1)
	n.ack(n.update(), nil)
	s.eventually(t, func(n fleet.Node) bool { return n.AppliedVersion == 2 && len(n.Rejects) == 1 })
	if err := s.publisher.Advance(snapshot.Step{Log: []snapshot.Change{{Version: 3, Key: mug.Key(), Previous: 2, Deleted: true}}}); err != nil {
		t.Fatal(err)
	}
	u := n.update()
	if len(u.GetRemovals()) != 1 {
		t.Fatalf("%v", u)
	}
	n.ack(u, func(a *snapshotv1.Ack) { a.Rejects = []*snapshotv1.Reject{reject("mug", 0)} })
	if code, _ := reason(n.end()); code != codes.InvalidArgument {
		t.Error(code)
	}
}

// A node that comes back with another build reports other rejects of the same state.
func TestTheFirstAckListsAllRejects(t *testing.T) {
	s := serve(t, failing{})
	whole := snapshot.Whole{Version: 1, Resources: []catalog.AnyResource{catalog.Item{SKU: "mug", Version: 1}, catalog.Item{SKU: "pen", Version: 1}}}
	s.publisher.Replace(whole)
	hello := &snapshotv1.Hello{NodeId: "a", HeldVersion: 1, HeldDigest: snapshot.Digest(whole.Resources)}
	for _, rejects := range [][]*snapshotv1.Reject{
		{reject("mug", 1)}, {reject("pen", 1)}, {reject("mug", 1), reject("pen", 1)}, {},
	} {
		n := s.node(t, hello)
		u := n.update()
		if u.GetAuthoritative() || len(u.GetUpserts()) != 0 {
			t.Fatalf("%v", u)
		}
		n.ack(u, func(a *snapshotv1.Ack) { a.Rejects = rejects })
		s.eventually(t, func(n fleet.Node) bool {
			for i, r := range n.Rejects {
				if i >= len(rejects) || r.Key.Name != rejects[i].GetKey().GetName() {
					return false
				}
			}
			return len(n.Rejects) == len(rejects)
		})
	}
	// What has changed since is passed over: its news is on the way.
	n := s.node(t, hello)
	n.ack(n.update(), func(a *snapshotv1.Ack) { a.Rejects = []*snapshotv1.Reject{reject("mug", 7), reject("pen", 1)} })
	s.eventually(t, func(n fleet.Node) bool { return len(n.Rejects) == 1 && n.Rejects[0].Key.Name == "pen" })
}

// More rejects than one message takes come in the parts of one Ack.
func TestManyRejectsComeInParts(t *testing.T) {
	s := serve(t, failing{})
	whole := snapshot.Whole{Version: 1}
	var rejects []*snapshotv1.Reject
	for n := range 8_000 {
		sku := fmt.Sprintf("%064d", n)
		whole.Resources = append(whole.Resources, catalog.Item{SKU: sku, Version: 1})
		rejects = append(rejects, reject(sku, 1))
	}
	s.publisher.Replace(whole)
	n := s.node(t, &snapshotv1.Hello{NodeId: "a"})
	u := n.update()
	for len(rejects) > 0 {
		part := min(64, len(rejects))
		n.ack(u, func(a *snapshotv1.Ack) { a.Rejects, a.MoreFollows = rejects[:part], part < len(rejects) })
		rejects = rejects[part:]
	}
	s.eventually(t, func(n fleet.Node) bool { return n.AppliedVersion == 1 && len(n.Rejects) == len(whole.Resources) })
}

// A large state comes in parts of one frame, so that a slow link is never silent for long; only a resource may be larger. What came
// before the stream broke is not sent again.
func TestLargeStateComesInSmallPartsAndGoesOn(t *testing.T) {
	s := serve(t, failing{})
	whole := snapshot.Whole{Version: 9}
	for n := range 5000 {
		whole.Resources = append(whole.Resources, catalog.Item{SKU: fmt.Sprintf("%04d", n), Name: strings.Repeat("x", 50), Version: 3})
	}
	skus := make([]string, 1000)
	for i := range skus {
		skus[i] = fmt.Sprintf("%064d", i)
	}
	for n := range 20 {
		whole.Resources = append(whole.Resources, catalog.Promotion{ID: fmt.Sprint(n), SKUs: skus, Version: 2})
	}
	s.publisher.Replace(whole)

	named, sent := map[string]bool{}, 0
	take := func(part *snapshotv1.Update) {
		if size := proto.Size(part); size > 17<<10 && len(part.GetUpserts()) > 1 {
			t.Errorf("a part of %d bytes with %d resources", size, len(part.GetUpserts()))
		}
		for _, r := range part.GetUpserts() {
			named[contract.ToResource(r).Key().String()] = true
			sent++
		}
	}
	n := s.node(t, &snapshotv1.Hello{NodeId: "a"})
	var partial *snapshotv1.Progress
	for range 30 {
		part := n.part()
		if !part.GetMoreFollows() || !part.GetAuthoritative() || part.GetResumes() || part.GetDigest() != snapshot.Digest(whole.Resources) {
			t.Fatalf("%.200v", part)
		}
		take(part)
		partial = part.GetProgress()
	}
	n = s.node(t, &snapshotv1.Hello{NodeId: "a", Partial: partial})
	for {
		part := n.part()
		if !part.GetResumes() || !part.GetAuthoritative() || part.GetDigest() != snapshot.Digest(whole.Resources) {
			t.Fatalf("%.200v", part)
		}
		take(part)
		if !part.GetMoreFollows() {
			n.ack(part, func(a *snapshotv1.Ack) { a.Rejects = []*snapshotv1.Reject{reject("0000", 3)} })
			break
		}
	}
	if len(named) != len(whole.Resources) || sent != len(named) {
		t.Errorf("%d resources, %d of them distinct, of %d", sent, len(named), len(whole.Resources))
	}
	// The Ack speaks of the kept parts too.
	s.eventually(t, func(n fleet.Node) bool { return n.AppliedVersion == 9 && len(n.Rejects) == 1 })
	// A node may ask for the whole state whatever it holds.
	n = s.node(t, &snapshotv1.Hello{NodeId: "a", HeldVersion: 9, HeldDigest: snapshot.Digest(whole.Resources), Whole: true})
	if u := n.update(); !u.GetAuthoritative() || len(u.GetUpserts()) != len(whole.Resources) {
		t.Errorf("%d resources", len(u.GetUpserts()))
	}
}

// A node that answers nothing is cut off while another goes on to get every change at once; until then, what it was not sent yet
// becomes one update.
func TestNodeThatDoesNotAnswer(t *testing.T) {
	s := serve(t, failing{})
	s.publisher.Replace(snapshot.Whole{Version: 1})
	deaf, good := s.node(t, &snapshotv1.Hello{NodeId: "deaf"}), s.node(t, &snapshotv1.Hello{NodeId: "a"})
	good.ack(good.update(), nil)
	mug := catalog.Item{SKU: "mug", Name: strings.Repeat("x", 200)}
	version := int64(1)
	write := func() {
		previous := version
		if previous == 1 {
			previous = 0
		}
		version++
		s.change(t, version, mug, previous)
		u := good.update()
		if u.GetVersion() != version {
			t.Fatalf("the good node got version %d, not %d", u.GetVersion(), version)
		}
		good.ack(u, nil)
	}
	unanswered := []*snapshotv1.Update{deaf.update()}
	for len(unanswered) < 16 {
		write()
		unanswered = append(unanswered, deaf.update())
	}
	for range 50 {
		write()
	}
	for _, u := range unanswered {
		deaf.ack(u, nil)
	}
	if u := deaf.update(); u.GetVersion() != version || u.GetAuthoritative() {
		t.Errorf("version %d follows 16 updates without an answer, not %d", u.GetVersion(), version)
	}
	for deadline := time.Now().Add(20 * time.Second); !s.observer.has("slow"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the deaf node is still there")
		}
		write()
	}
	if s.observer.has("protocol") {
		t.Error("an Ack was refused")
	}
}

// faulty panics when an update is to be sent.
type faulty struct{ contract.UpdateEncoder }

func (faulty) Part(*snapshot.Update, snapshot.Part) []byte { panic("a fault of ours") }

func TestAPanicWhileSendingEndsItsStreamAlone(t *testing.T) {
	s := serveEncoded(t, failing{err: catalog.ErrNotFound}, faulty{})
	s.publisher.Replace(snapshot.Whole{Version: 1})
	for range 2 {
		stream, err := snapshotv1.NewSnapshotServiceClient(s.conn).StreamSnapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(hello("node")); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.Internal {
			t.Errorf("ended with %v", err)
		}
	}
}

// undecodable is a stream on which what the node sends makes a panic, from a message on.
type undecodable struct {
	snapshotv1.SnapshotService_StreamSnapshotServer
	ctx   context.Context
	first []*snapshotv1.StreamSnapshotRequest
}

func (u *undecodable) Context() context.Context { return u.ctx }
func (u *undecodable) SendMsg(any) error        { return nil }

func (u *undecodable) Recv() (*snapshotv1.StreamSnapshotRequest, error) {
	if len(u.first) == 0 {
		panic("a fault of ours")
	}
	next := u.first[0]
	u.first = u.first[1:]
	return next, nil
}

// Receiving has a goroutine of its own too, before the Hello and after it.
func TestAPanicOfReceivingEndsTheStreamOnly(t *testing.T) {
	publisher := snapshot.NewPublisher(contract.UpdateEncoder{})
	publisher.Replace(snapshot.Whole{Version: 1})
	service := &grpcapi.Snapshot{Publisher: publisher, Registry: fleet.NewRegistry(time.Now), Observer: &causes{}, Log: slog.New(slog.DiscardHandler)}
	hello := &snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Hello{Hello: &snapshotv1.Hello{NodeId: "a"}}}
	for name, first := range map[string][]*snapshotv1.StreamSnapshotRequest{"at first": nil, "after the Hello": {hello}} {
		err := service.StreamSnapshot(&undecodable{ctx: t.Context(), first: first})
		if code, why := reason(err); code != codes.Internal || why != "INTERNAL" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A node whose clock is wrong tells wrong times. When a version was applied, and how long that took, is told by the control plane's.
func TestClocksOfNodesAreNotTrusted(t *testing.T) {
	for name, off := range map[string]time.Duration{"a day ahead": 24 * time.Hour, "a day behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, failing{})
			s.publisher.Replace(snapshot.Whole{Version: 1})
			start := time.Now()
			n := s.node(t, &snapshotv1.Hello{NodeId: "a"})
			wrong := func(a *snapshotv1.Ack) { a.AppliedAt = timestamppb.New(time.Now().Add(off)) }
			n.ack(n.update(), wrong)
			s.change(t, 2, catalog.Item{SKU: "mug"}, 0)
			n.ack(n.update(), wrong)
			n.send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Heartbeat{
				Heartbeat: &snapshotv1.Heartbeat{Version: 2, SentAt: timestamppb.New(time.Now().Add(off))}}})
			s.eventually(t, func(n fleet.Node) bool { return n.AppliedVersion == 2 })
			if a, _ := s.registry.Node("a"); a.AppliedAt.Before(start) || a.AppliedAt.After(time.Now()) || a.LastHeartbeatAt.Before(start) || a.LastHeartbeatAt.After(time.Now()) {
				t.Errorf("%+v", a)
			}
			var took []time.Duration
			for deadline := time.Now().Add(10 * time.Second); len(took) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				s.observer.mu.Lock()
				took = slices.Clone(s.observer.applied)
				s.observer.mu.Unlock()
			}
			if len(took) != 1 || took[0] <= 0 || took[0] > time.Since(start) {
				t.Errorf("it took %v", took)
			}
		})
	}
}
