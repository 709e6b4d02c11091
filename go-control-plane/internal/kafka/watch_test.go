package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/ledger"
)

// around is a client that knows the partitions of a topic, or fails to.
type around struct {
	ends
	partitions []int32
	refresh    error
	listing    error
}

func (a around) RefreshMetadata(...string) error { return a.refresh }

func (a around) Partitions(string) ([]int32, error) { return a.partitions, a.listing }

func (around) LeastLoadedBroker() *sarama.Broker { return nil }

// What must end the consumption ends it with its reason. It is bad health if the broker does not answer; it is none if the next
// consumption only has to begin elsewhere.
func TestWhatTheWatcherSeesEndsTheConsumption(t *testing.T) {
	stored := map[int32]ledger.Position{0: {Offset: 7}, 1: {Offset: 7}}
	both := []int32{0, 1}
	for name, c := range map[string]struct {
		client  sarama.Client
		stored  map[int32]ledger.Position
		reason  error
		healthy bool
	}{
		"the broker is away":           {around{partitions: both, refresh: errAway}, stored, errAway, false},
		"the partitions are not known": {around{partitions: both, listing: errAway}, stored, errAway, false},
		"a partition was added":        {around{partitions: []int32{0, 1, 2}}, stored, errOtherTopic, true},
		"the ledger went back":         {around{partitions: both}, map[int32]ledger.Position{0: {Offset: 7}}, ledger.ErrOffsetWentBack, true},
		"an end is not known":          {brokenAround{around{partitions: both}}, stored, errAway, false},
		"nobody knows the topic's id":  {around{partitions: both}, stored, sarama.ErrBrokerNotAvailable, false},
	} {
		u := consumer(nil, nil)
		u.Book = &stuck{stored: c.stored}
		var health []error
		u.Healthy = func(err error) { health = append(health, err) }
		w := watcher{u, c.client, "", both, map[int32]*progress{0: {}, 1: {}}}
		for _, at := range w.reached {
			at.booked.Store(7)
			at.position.Store(7)
		}
		ctx, stop := context.WithCancelCause(t.Context())
		w.watch(ctx, stop)
		if !errors.Is(context.Cause(ctx), c.reason) || (len(health) == 0) != c.healthy || (!c.healthy && !errors.Is(health[0], c.reason)) {
			t.Errorf("%s: ended with %v, health %v", name, context.Cause(ctx), health)
		}
		if u.ends != nil {
			t.Errorf("%s: the ends are %v", name, u.ends)
		}
	}
}

type brokenAround struct{ around }

func (brokenAround) GetOffset(string, int32, int64) (int64, error) { return 0, errAway }

// Behind a booked record the next one is to be booked, and not the one behind that: a ledger that is there did not go back.
func TestABookedRecordIsPassed(t *testing.T) {
	u := consumer(nil, nil)
	u.Book = &stuck{stored: map[int32]ledger.Position{0: {Offset: 8}}}
	w := watcher{UsageConsumer: u, reached: map[int32]*progress{0: {}}}
	w.reached[0].pass(7)
	if position, booked := w.reached[0].position.Load(), w.reached[0].booked.Load(); position != 8 || booked != 8 {
		t.Errorf("next at %d, booked up to %d", position, booked)
	}
	if err := w.wentBack(t.Context()); err != nil {
		t.Error(err)
	}
}

// The end of the consumption ends the watch, and says nothing of the broker's health.
func TestTheEndOfConsumptionEndsTheWatch(t *testing.T) {
	u := consumer(nil, nil)
	u.Healthy = func(err error) { t.Errorf("health: %v", err) }
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errOtherTopic)
	watcher{UsageConsumer: u, client: around{refresh: errAway}}.watch(ctx, stop)
}

// The lag is what lies between the next record to book and the end, in each partition; what has none to book is passed over
// once, and a partition that is read to its end is not asked for.
func TestALookMeasuresTheLag(t *testing.T) {
	offsets := sarama.NewMockOffsetResponse(t)
	fetched := &sarama.FetchResponse{Version: 10}
	for partition, end := range []int64{20, 20, 20, 20} {
		offsets.SetOffset("usage", int32(partition), sarama.OffsetNewest, end)
	}
	fetched.AddRecordBatch("usage", 0, nil, sarama.StringEncoder("EUR"), 15, 1, false)
	fetched.AddControlRecord("usage", 1, 17, 1, sarama.ControlRecordCommit)
	// Partitions 2 and 3 have no answer: a look that asks for them fails.
	broker := script{partitions: 4, offsets: offsets, fetches: sarama.NewMockWrapper(fetched)}.start(t)
	u := consumer(nil, nil)
	u.Broker, u.Book = broker, &stuck{}
	w := watcher{u, client(t, broker), "", []int32{0, 1, 2, 3}, map[int32]*progress{}}
	for partition, position := range []int64{15, 17, 20, 25} {
		w.reached[int32(partition)] = &progress{}
		w.reached[int32(partition)].position.Store(position)
	}
	seen, err := w.look(t.Context())
	if err != nil || seen.lag != 5+2 || fmt.Sprint(seen.ends) != "map[0:20 1:20 2:20 3:20]" {
		t.Errorf("%+v, %v", seen, err)
	}
	for partition, want := range []int64{15, 18, 20, 25} {
		if got := w.reached[int32(partition)].position.Load(); got != want {
			t.Errorf("partition %d is read from %d on, want %d", partition, got, want)
		}
	}
}

// What is seen is kept: the lag for who asks, the ends for the time when the topic is another one.
func TestWhatTheWatcherSeesIsKept(t *testing.T) {
	for topicID, same := range map[string]bool{"AQAAAAAAAAAAAAAAAAAAAA": true, "AgAAAAAAAAAAAAAAAAAAAA": false} {
		offsets := sarama.NewMockOffsetResponse(t).SetOffset("usage", 0, sarama.OffsetNewest, 20)
		fetched := &sarama.FetchResponse{Version: 10}
		fetched.AddRecordBatch("usage", 0, nil, sarama.StringEncoder("EUR"), 15, 1, false)
		broker := script{id: sarama.Uuid{1}, partitions: 1, offsets: offsets, fetches: sarama.NewMockWrapper(fetched)}.start(t)
		u := consumer(nil, nil)
		u.Broker, u.Book = broker, &stuck{}
		w := watcher{u, client(t, broker), topicID, []int32{0}, map[int32]*progress{0: {}}}
		w.reached[0].position.Store(15)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- w.run(ctx) }()
		if same {
			for deadline := time.Now().Add(30 * time.Second); u.Stats().Lag != 5; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the lag is not measured within 30 s")
				}
			}
			cancel()
		}
		if err := <-ended; (err == nil) != same || (!same && err != errOtherTopic) {
			t.Errorf("%s: ended with %v", topicID, err)
		}
		if (u.endsOf == topicID && u.ends[0] == 20) != same {
			t.Errorf("%s: the ends of %s are %v", topicID, u.endsOf, u.ends)
		}
	}
}

// A leader that does not answer for a partition, or says that it cannot, is not one that has nothing.
func TestALeaderWithoutAnAnswerIsAnError(t *testing.T) {
	refused := &sarama.FetchResponse{Version: 10}
	refused.AddError("usage", 0, sarama.ErrOffsetOutOfRange)
	for name, c := range map[string]struct {
		fetched *sarama.FetchResponse
		err     error
	}{
		"nothing of it": {&sarama.FetchResponse{Version: 10}, sarama.ErrIncompleteResponse},
		"refused":       {refused, sarama.ErrOffsetOutOfRange},
	} {
		end := sarama.NewMockOffsetResponse(t).SetOffset("usage", 0, sarama.OffsetNewest, 20)
		broker := script{partitions: 1, offsets: end, fetches: sarama.NewMockWrapper(c.fetched)}.start(t)
		w := watcher{UsageConsumer: consumer(nil, nil), client: client(t, broker)}
		if next, err := w.skip(0, 15); !errors.Is(err, c.err) || next != 15 {
			t.Errorf("%s: %d, %v", name, next, err)
		}
		if _, err := w.skip(9, 15); err == nil {
			t.Error("a partition without a leader has an answer")
		}
		// A look that does not learn what there is to book fails.
		w.Book, w.reached, w.partitions = &stuck{}, map[int32]*progress{0: {}}, []int32{0}
		if _, err := w.look(t.Context()); !errors.Is(err, c.err) {
			t.Errorf("%s: a look ends with %v", name, err)
		}
	}
}

// A broker that goes away is an error, and one that has come back is asked again, on a new connection.
func TestABrokerThatComesBackIsAskedAgain(t *testing.T) {
	gone := sarama.NewMockBroker(t, 1)
	s := script{id: sarama.Uuid{1}, partitions: 1}
	s.follow(t, gone)
	broker := Broker{Addresses: []string{gone.Addr()}}
	c := client(t, broker)
	if err := broker.still(c, "usage", "AQAAAAAAAAAAAAAAAAAAAA"); err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if err := broker.still(c, "usage", "AQAAAAAAAAAAAAAAAAAAAA"); err == nil || err == errOtherTopic {
		t.Errorf("a broker that is gone says %v", err)
	}
	w := watcher{UsageConsumer: consumer(nil, nil), client: c}
	if next, err := w.skip(0, 15); err == nil || next != 15 {
		t.Errorf("a broker that is gone has records from %d on, %v", next, err)
	}
	back := sarama.NewMockBrokerAddr(t, 1, gone.Addr())
	defer back.Close()
	s.follow(t, back)
	if err := broker.still(c, "usage", "AQAAAAAAAAAAAAAAAAAAAA"); err != nil {
		t.Errorf("a broker that is back says %v", err)
	}
}
