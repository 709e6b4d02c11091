//go:build unix

package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/kafkatest"
	"hybrid/control-plane/internal/outbox"
)

// recreate deletes a topic and makes it anew, and waits until the broker has done both.
func recreate(t *testing.T, broker Broker, topic Topic) {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(broker.Addresses, broker.config())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.DeleteTopic(topic.Name); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := admin.CreateTopic(topic.Name, &sarama.TopicDetail{NumPartitions: topic.Partitions, ReplicationFactor: 1}, false)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// publishTo sends records with the numbers from first to last as their values.
func publishTo(t *testing.T, broker Broker, topic string, first, last int) {
	t.Helper()
	producer := NewProducer(broker)
	defer producer.Close()
	var messages []outbox.Message
	for n := first; n <= last; n++ {
		messages = append(messages, outbox.Message{Topic: topic, Key: []byte{byte(n)}, Value: []byte(fmt.Sprint("quote-", n))})
	}
	// A topic that was just made may not have its leaders yet.
	for deadline := time.Now().Add(30 * time.Second); len(messages) > 0; {
		n, err := producer.Publish(t.Context(), messages)
		messages = messages[n:]
		if err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func running(t *testing.T, u *UsageConsumer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// A topic that was deleted and made anew is read from its beginning: whether its new log is shorter than the old one or
// longer, and whether it happens while it is consumed or in between.
func TestARecreatedTopicIsReadFromItsBeginning(t *testing.T) {
	server := kafkatest.Start(t)
	broker := Broker{Addresses: []string{server.Address}}
	for name, c := range map[string]struct {
		fresh   int
		running bool
	}{
		"shorter": {10, false}, "longer": {60, false}, "shorter, running": {10, true}, "longer, running": {60, true},
	} {
		t.Run(name, func(t *testing.T) {
			topic := Topic{Name: fmt.Sprintf("usage-%d-%t", c.fresh, c.running), Partitions: 2}
			ensure(t, broker, topic)
			f := newFaulty()
			u := consumer(nil, nil)
			u.Broker, u.Book, u.Topic, u.Log = broker, f, topic.Name, slog.New(slog.NewTextHandler(f, nil))
			var lost atomic.Int64
			u.Lost = func(string) { lost.Add(1) }
			publishTo(t, broker, topic.Name, 1, 20)
			stop := running(t, u)
			f.wait(t, "the records are booked", func() bool { return len(f.values) == 20 })
			if !c.running {
				stop()
			}
			recreate(t, broker, topic)
			publishTo(t, broker, topic.Name, 101, 100+c.fresh)
			if !c.running {
				running(t, u)
			}
			f.wait(t, "the new records are booked", func() bool { return len(f.values) >= 20+c.fresh })
			if lost.Load() == 0 {
				t.Error("the loss of what was not booked is not told")
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for n := 101; n <= 100+c.fresh; n++ {
				if value := fmt.Sprint("quote-", n); f.values[value] != 1 {
					t.Errorf("%s is booked %d times", value, f.values[value])
				}
			}
		})
	}
}
