//go:build unix

package grpcapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	snapshotv1 "hybrid/control-plane/gen/hybrid/snapshot/v1"
	"hybrid/control-plane/internal/catalog"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/fleet"
	"hybrid/control-plane/internal/grpcapi"
	"hybrid/control-plane/internal/money"
	"hybrid/control-plane/internal/snapshot"
)

const (
	benchItems = 100_000
	benchNodes = 100
	// nodesVariable names the server to the process that plays the nodes.
	nodesVariable = "SNAPSHOT_BENCH_SERVER"
)

func TestMain(m *testing.M) {
	if server := os.Getenv(nodesVariable); server != "" {
		playNodes(server)
		return
	}
	goleak.VerifyTestMain(m)
}

// acks counts the answers of all nodes.
type acks struct{ first, later atomic.Int64 }

func (a *acks) UpdateSent(bool, int)        {}
func (a *acks) UpdateApplied(time.Duration) { a.later.Add(1) }
func (a *acks) Rejected(int)                {}
func (a *acks) StreamEnded(string)          {}

// distribution is a server with a large catalog, and 100 nodes in another process, so that their cost is not measured.
type distribution struct {
	publisher *snapshot.Publisher
	registry  *fleet.Registry
	observer  *acks
	address   string
	version   int64
}

func distribute(b *testing.B) *distribution {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	d := &distribution{publisher: snapshot.NewPublisher(contract.UpdateEncoder{}), registry: fleet.NewRegistry(time.Now), observer: &acks{}, version: benchItems}
	whole := snapshot.Whole{Version: d.version, CommittedAt: time.Now()}
	for n := range benchItems {
		whole.Resources = append(whole.Resources, benchItem(n, int64(n+1)))
	}
	d.publisher.Replace(whole)
	server, _ := grpcapi.NewServer(grpcapi.Services{
		Catalog:  &grpcapi.Catalog{Log: log},
		Snapshot: &grpcapi.Snapshot{Publisher: d.publisher, Registry: d.registry, Observer: d.observer, Log: log, Draining: make(chan struct{})},
		Fleet:    &grpcapi.Fleet{Registry: d.registry, Publisher: d.publisher},
		Ledger:   &grpcapi.Ledger{Log: log},
	}, log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go server.Serve(listener)
	b.Cleanup(server.Stop)
	d.address = listener.Addr().String()
	return d
}

func benchItem(n int, version int64) catalog.Item {
	return catalog.Item{SKU: fmt.Sprintf("sku-%06d", n), Name: fmt.Sprintf("Item number %d", n),
		UnitPrice: money.Money{Currency: "EUR", Minor: int64(n)}, TaxCategory: "standard", Version: version, UpdatedAt: time.Unix(1_700_000_000, 0)}
}

// connect starts the nodes and returns when all have the catalog.
func (d *distribution) connect(b *testing.B) (stop func()) {
	b.Helper()
	nodes := exec.Command(os.Args[0])
	nodes.Env = append(os.Environ(), nodesVariable+"="+d.address)
	nodes.Stderr = os.Stderr
	input, err := nodes.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := nodes.Start(); err != nil {
		b.Fatal(err)
	}
	d.await(b, func() bool {
		current := 0
		for _, n := range d.registry.Nodes() {
			if n.Connected && n.AppliedVersion == d.version {
				current++
			}
		}
		return current == benchNodes
	})
	return func() {
		input.Close()
		nodes.Wait()
		d.await(b, func() bool { return d.publisher.Stats().Streams == 0 })
	}
}

func (d *distribution) await(b *testing.B, condition func() bool) {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("the nodes do not get there")
		}
	}
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func liveBytes() float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64())
}

// BenchmarkChangeToAllNodes measures one changed item of 100,000 until 100 nodes have acknowledged it.
func BenchmarkChangeToAllNodes(b *testing.B) {
	d := distribute(b)
	defer d.connect(b)()
	runtime.GC()
	runtime.GC()
	live := liveBytes()
	acked, spent := d.observer.later.Load(), cpu()
	b.ReportAllocs()
	for b.Loop() {
		key := benchItem(int(d.version%benchItems), 0).Key()
		previous := d.version%benchItems + 1
		if d.version >= 2*benchItems {
			previous += benchItems
		}
		d.version++
		err := d.publisher.Advance(snapshot.Step{
			Log:       []snapshot.Change{{Version: d.version, Key: key, Previous: previous, CommittedAt: time.Now()}},
			Resources: map[catalog.Key]catalog.AnyResource{key: benchItem(int((d.version-1)%benchItems), d.version)},
		})
		if err != nil {
			b.Fatal(err)
		}
		acked += benchNodes
		d.await(b, func() bool { return d.observer.later.Load() >= acked })
	}
	b.ReportMetric(float64((cpu()-spent).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(live/1e6, "MB-live")
}

// BenchmarkResyncOfAllNodes measures 100 nodes that all ask for the whole catalog of 100,000 items at once.
func BenchmarkResyncOfAllNodes(b *testing.B) {
	d := distribute(b)
	runtime.GC()
	before := liveBytes()
	stop, sampled := make(chan struct{}), make(chan float64)
	go func() {
		peak := 0.0
		for {
			peak = max(peak, liveBytes())
			select {
			case <-stop:
				sampled <- peak
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	spent := cpu()
	b.ReportAllocs()
	for b.Loop() {
		d.connect(b)()
	}
	b.ReportMetric(float64((cpu()-spent).Milliseconds())/float64(b.N), "cpu-ms/op")
	close(stop)
	b.ReportMetric((<-sampled-before)/1e6, "MB-peak")
	b.ReportMetric(before/1e6, "MB-live")
}

// playNodes is the process of the nodes: it takes what the server sends and answers it, until its input ends.
func playNodes(address string) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for n := range benchNodes {
		all.Go(func() {
			if err := playNode(ctx, address, fmt.Sprintf("node-%d", n)); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	io.Copy(io.Discard, os.Stdin)
	cancel()
	all.Wait()
}

func playNode(ctx context.Context, address, id string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true},
		snapshotv1.SnapshotService_StreamSnapshot_FullMethodName, grpc.ForceCodec(received{}))
	if err != nil {
		return err
	}
	var sending sync.Mutex
	send := func(m *snapshotv1.StreamSnapshotRequest) error {
		sending.Lock()
		defer sending.Unlock()
		encoded, err := proto.Marshal(m)
		if err != nil {
			return err
		}
		return stream.SendMsg(encoded)
	}
	if err := send(hello(id)); err != nil {
		return err
	}
	go func() {
		for ; ctx.Err() == nil; time.Sleep(time.Second) {
			send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Heartbeat{Heartbeat: &snapshotv1.Heartbeat{}}})
		}
	}()
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		if ack := acknowledge(message); ack != nil {
			if err := send(&snapshotv1.StreamSnapshotRequest{Message: &snapshotv1.StreamSnapshotRequest_Ack{Ack: ack}}); err != nil {
				return err
			}
		}
	}
}

// acknowledge reads no more of a message than its answer needs. It returns nil where none is due.
func acknowledge(message []byte) *snapshotv1.Ack {
	number, _, n := protowire.ConsumeTag(message)
	if number != 1 {
		return nil
	}
	update, _ := protowire.ConsumeBytes(message[n:])
	ack, more := &snapshotv1.Ack{}, false
	for len(update) > 0 {
		number, kind, n := protowire.ConsumeTag(update)
		value := update[n:]
		size := protowire.ConsumeFieldValue(number, kind, value)
		switch number {
		case 1:
			nonce, _ := protowire.ConsumeBytes(value)
			ack.Nonce = string(nonce)
		case 2:
			version, _ := protowire.ConsumeVarint(value)
			ack.Version = int64(version)
		case 6:
			ack.Digest, _ = protowire.ConsumeFixed64(value)
		case 8:
			more = true
		}
		update = value[size:]
	}
	if more {
		return nil
	}
	return ack
}

// received is a codec that leaves messages as they are.
type received struct{}

func (received) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (received) Unmarshal(m []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), m...)
	return nil
}
func (received) Name() string { return "proto" }
