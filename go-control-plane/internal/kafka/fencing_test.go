//go:build unix

package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/kafkatest"
	"hybrid/control-plane/internal/outbox"
)

// committed is the outbox of a test, which any number of relays read.
type committed struct {
	mu    sync.Mutex
	queue []outbox.Pending
}

func (c *committed) Pending(context.Context, int) ([]outbox.Pending, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]outbox.Pending(nil), c.queue...), nil
}

func (c *committed) Count(context.Context) (int64, error) { return int64(c.left()), nil }

func (c *committed) Prune(context.Context) error { return nil }

func (c *committed) MarkPublished(_ context.Context, ids []int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	marked := map[int64]bool{}
	for _, id := range ids {
		marked[id] = true
	}
	var left []outbox.Pending
	for _, p := range c.queue {
		if !marked[p.ID] {
			left = append(left, p)
		}
	}
	c.queue = left
	return nil
}

func (c *committed) left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}

func (c *committed) add(id int64, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, outbox.Pending{ID: id, Message: outbox.Message{Topic: "catalog", Key: []byte("item/mug"), Value: []byte(value)}})
}

// stalling lets a relay stand still between the moment when it has read the queue and the moment when it publishes.
type stalling struct {
	*committed
	read, proceed chan struct{}
}

func (s *stalling) Pending(ctx context.Context, limit int) ([]outbox.Pending, error) {
	pending, err := s.committed.Pending(ctx, limit)
	if len(pending) > 0 {
		s.read <- struct{}{}
		<-s.proceed
	}
	return pending, err
}

// A relay that stalls, and goes on after another one has taken its place, publishes nothing more: what it holds is older than
// what the other one has published, and a compacted topic would keep it.
func TestAStalledRelayIsFenced(t *testing.T) {
	server := kafkatest.Start(t)
	broker := Broker{Addresses: []string{server.Address}}
	ensure(t, broker, Topic{Name: "catalog", Partitions: 1, Compacted: true})
	queue := &committed{}
	start := func(q outbox.Queue) (ended chan error, stop func()) {
		producer := NewFencedProducer(broker, "relay")
		relay := &outbox.Relay{Queue: q, Publisher: producer, Poll: 10 * time.Millisecond, Healthy: func(error) {}, Log: slog.New(slog.DiscardHandler)}
		relay.Pace.Max = 100 * time.Millisecond
		ctx, cancel := context.WithCancel(context.Background())
		ended = make(chan error, 1)
		go func() { ended <- relay.Run(ctx); producer.Close() }()
		return ended, cancel
	}
	wait := func(what string, condition func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not within 30 s: %s", what)
			}
		}
	}
	slow := &stalling{queue, make(chan struct{}), make(chan struct{})}
	old, stopOld := start(slow)
	defer stopOld()
	// It publishes once, so that it is connected.
	queue.add(1, "first")
	<-slow.read
	slow.proceed <- struct{}{}
	wait("the first relay works", func() bool { return queue.left() == 0 })
	queue.add(2, "old")
	<-slow.read
	next, stopNext := start(queue)
	queue.add(3, "new")
	wait("the second relay has published all", func() bool { return queue.left() == 0 })
	slow.proceed <- struct{}{}
	select {
	case err := <-old:
		if !errors.Is(err, outbox.ErrFenced) {
			t.Errorf("the stalled relay ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the stalled relay goes on")
	}
	// The other one goes on undisturbed.
	queue.add(4, "newest")
	wait("the second relay goes on", func() bool { return queue.left() == 0 })
	stopNext()
	if err := <-next; err != nil {
		t.Error(err)
	}
	if got := committedValues(t, broker, "catalog", "newest"); got[len(got)-2] != "new" || len(got) != 4 {
		t.Errorf("the topic has %v", got)
	}
}

// committedValues reads the committed values of a topic's partition 0, up to one that is the last.
func committedValues(t *testing.T, broker Broker, topic, last string) (values []string) {
	t.Helper()
	consumer, err := sarama.NewConsumer(broker.Addresses, broker.config())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	records, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	timeout := time.After(30 * time.Second)
	for len(values) == 0 || values[len(values)-1] != last {
		select {
		case m := <-records.Messages():
			values = append(values, string(m.Value))
		case <-timeout:
			t.Fatalf("%v, and nothing more", values)
		}
	}
	return values
}
