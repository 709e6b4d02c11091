//go:build unix

package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/kafkatest"
	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/outbox"
)

// faulty is a ledger that fails as long as it has failures.
type faulty struct {
	mu       sync.Mutex
	failures int
	attempts int
	next     map[int32]int64
	topicID  string
	retired  []string
	lines    bytes.Buffer
	healthy  []error
	// values counts the booked records, by currency, which is all that these tests' windows have.
	values map[string]int
}

func newFaulty() *faulty { return &faulty{next: map[int32]int64{}, values: map[string]int{}} }

func (f *faulty) Positions(context.Context, string) (map[int32]ledger.Position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[int32]ledger.Position{}
	for partition, offset := range f.next {
		next[partition] = ledger.Position{Offset: offset, TopicID: f.topicID}
	}
	return next, nil
}

func (f *faulty) Apply(_ context.Context, b ledger.Batch) (ledger.Booked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts++
	if f.failures > 0 {
		f.failures--
		return ledger.Booked{}, errors.New("disk full")
	}
	for partition, from := range b.From {
		if f.next[partition] < from {
			return ledger.Booked{}, ledger.ErrOffsetWentBack
		}
	}
	f.topicID = b.TopicID
	for partition, offset := range b.Next {
		f.next[partition] = offset
	}
	for _, r := range b.Records {
		f.values[r.Window.Currency]++
	}
	return ledger.Booked{Records: len(b.Records)}, nil
}

func (f *faulty) Retire(_ context.Context, _ string, partition int32, from ledger.Position) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.retired = append(f.retired, fmt.Sprintf("%d from %d", partition, from.Offset))
	f.next[partition] = from.Offset
	return nil
}

func (f *faulty) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lines.Write(p)
}

func (f *faulty) wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		f.mu.Lock()
		ok := condition()
		text := f.lines.String()
		f.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s\n%s", what, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A ledger that fails while the broker works is one warning, however often consumption starts anew; it recovered when
// something was booked, not when reading begins. Records that the log has lost are set aside once patience has ended.
func TestConsumptionReportsAnOutageOnce(t *testing.T) {
	server := kafkatest.Start(t)
	broker := Broker{Addresses: []string{server.Address}}
	topics := []Topic{{Name: "usage", Partitions: 2}}
	ensure(t, broker, topics...)
	// Once more: they exist.
	ensure(t, broker, topics...)
	producer := NewProducer(broker)
	defer producer.Close()
	key := func(n int) []byte { return []byte{byte(n)} }
	var messages []outbox.Message
	for n := range 20 {
		messages = append(messages, outbox.Message{Topic: "usage", Key: key(n), Value: []byte("EUR")})
	}
	if n, err := producer.Publish(t.Context(), messages); err != nil || n != len(messages) {
		t.Fatalf("%d published, %v", n, err)
	}

	f := newFaulty()
	f.failures = 6
	u := consumer(nil, nil)
	u.Broker, u.Book, u.Log = broker, f, slog.New(slog.NewTextHandler(f, nil))
	u.Patience = 500 * time.Millisecond
	u.Healthy = func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.healthy = append(f.healthy, err)
	}
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- u.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	stop := run()
	f.wait(t, "all records are booked", func() bool { return f.next[0]+f.next[1] == 20 })
	f.wait(t, "the recovery is reported", func() bool { return strings.Contains(f.lines.String(), "recovered") })
	stop()
	f.mu.Lock()
	text := f.lines.String()
	if strings.Count(text, "\n") != 2 || strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "disk full") || !strings.Contains(text, "failures=6") {
		t.Errorf("lines:\n%s", text)
	}
	for i, err := range f.healthy {
		if (i < 6) != (err != nil) {
			t.Errorf("health after attempt %d: %v", i, err)
		}
	}
	if u.Stats().Records != 20 {
		t.Errorf("stats %+v", u.Stats())
	}
	booked := f.next[0]
	f.next[0] += 5
	f.mu.Unlock()

	stop = run()
	f.wait(t, "lost records are set aside", func() bool { return len(f.retired) > 0 })
	f.wait(t, "consumption goes on", func() bool { return f.healthy[len(f.healthy)-1] == nil })
	stop()
	if want := fmt.Sprintf("[0 from %d]", booked); fmt.Sprint(f.retired) != want {
		t.Errorf("retired %v, want %s", f.retired, want)
	}
}

// Partitions that a topic is given while it is consumed are consumed too.
func TestAddedPartitionsAreConsumed(t *testing.T) {
	server := kafkatest.Start(t)
	broker := Broker{Addresses: []string{server.Address}}
	ensure(t, broker, Topic{Name: "usage", Partitions: 1})
	f := newFaulty()
	u := consumer(nil, nil)
	u.Broker, u.Book = broker, f
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	publish := func(n int) {
		producer := NewProducer(broker)
		defer producer.Close()
		var messages []outbox.Message
		for key := range n {
			messages = append(messages, outbox.Message{Topic: "usage", Key: []byte{byte(key)}, Value: []byte("EUR")})
		}
		if _, err := producer.Publish(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	booked := func() (n int64) {
		for _, offset := range f.next {
			n += offset
		}
		return n
	}
	publish(5)
	f.wait(t, "the records of one partition are booked", func() bool { return booked() == 5 })
	admin, err := sarama.NewClusterAdmin(broker.Addresses, broker.config())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.CreatePartitions("usage", 3, nil, false); err != nil {
		t.Fatal(err)
	}
	publish(40)
	f.wait(t, "the records of all partitions are booked", func() bool { return booked() == 45 && len(f.next) == 3 })
}

// A ledger that is restored to an older state gets again what it has lost: while nothing is produced, and with the next record.
func TestWhatARestoredLedgerLostIsBookedAgain(t *testing.T) {
	server := kafkatest.Start(t)
	broker := Broker{Addresses: []string{server.Address}}
	ensure(t, broker, Topic{Name: "usage", Partitions: 1})
	f := newFaulty()
	u := consumer(nil, nil)
	u.Broker, u.Book, u.Log, u.Healthy = broker, f, slog.New(slog.NewTextHandler(f, nil)), func(error) {}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	producer := NewProducer(broker)
	defer producer.Close()
	publish := func() {
		if _, err := producer.Publish(t.Context(), []outbox.Message{{Topic: "usage", Value: []byte("EUR")}, {Topic: "usage", Value: []byte("EUR")}}); err != nil {
			t.Fatal(err)
		}
	}
	restore := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.next = map[int32]int64{}
	}
	publish()
	f.wait(t, "two records are booked", func() bool { return f.next[0] == 2 })
	restore()
	f.wait(t, "both are booked again", func() bool { return f.next[0] == 2 && u.Stats().Records == 4 })
	restore()
	publish()
	f.wait(t, "all four are booked", func() bool { return f.next[0] == 4 && u.Stats().Records == 8 })
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := strings.Count(f.lines.String(), "the ledger is in an older state"); n != 2 {
		t.Errorf("%d lines:\n%s", n, f.lines.String())
	}
}
