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

// reading is a ledger that is at a position, and passes on what it is given to book.
type reading struct {
	at      map[int32]ledger.Position
	err     error
	batches chan ledger.Batch
}

func (r *reading) Positions(context.Context, string) (map[int32]ledger.Position, error) {
	return r.at, r.err
}

func (r *reading) Apply(_ context.Context, b ledger.Batch) (ledger.Booked, error) {
	r.batches <- b
	return ledger.Booked{Records: len(b.Records)}, nil
}

func (*reading) Retire(context.Context, string, int32, ledger.Position) error { return errAway }

// between is the ends of partition 0.
func between(t *testing.T, oldest, newest int64) *sarama.MockOffsetResponse {
	return sarama.NewMockOffsetResponse(t).SetOffset("usage", 0, sarama.OffsetOldest, oldest).SetOffset("usage", 0, sarama.OffsetNewest, newest)
}

// Consumption that cannot begin is bad health with the reason, whatever it is that fails.
func TestConsumptionThatCannotBeginIsBadHealth(t *testing.T) {
	unknown := &sarama.OffsetResponse{Version: 5, Blocks: map[string]map[int32]*sarama.OffsetResponseBlock{"usage": {0: {Err: sarama.ErrReplicaNotAvailable}}}}
	at := map[int32]ledger.Position{0: {Offset: 5}}
	for name, c := range map[string]struct {
		script *script
		topic  string
		ledger *reading
		reason error
	}{
		"no broker":                     {nil, "usage", &reading{}, sarama.ErrOutOfBrokers},
		"no such topic":                 {&script{partitions: 1}, "other", &reading{}, sarama.ErrUnknownTopicOrPartition},
		"the ledger is away":            {&script{partitions: 1, offsets: between(t, 0, 9)}, "usage", &reading{err: errAway}, errAway},
		"the beginning is not known":    {&script{partitions: 1, offsets: sarama.NewMockWrapper(unknown)}, "usage", &reading{}, sarama.ErrReplicaNotAvailable},
		"the log was cut in the moment": {&script{partitions: 1, offsets: sarama.NewMockSequence(between(t, 0, 9), between(t, 0, 9), between(t, 0, 3))}, "usage", &reading{at: at}, sarama.ErrOffsetOutOfRange},
	} {
		u := consumer(nil, nil)
		if c.script != nil {
			u.Broker = c.script.start(t)
		} else {
			u.Broker = Broker{Addresses: []string{"127.0.0.1:1"}}
		}
		u.Topic, u.Book = c.topic, c.ledger
		ctx, cancel := context.WithCancel(t.Context())
		u.Healthy = func(err error) {
			if !errors.Is(err, c.reason) {
				t.Errorf("%s: health %v", name, err)
			}
			cancel()
		}
		if err := u.Run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fetched has records from one offset up to another one, which is the end of the log.
func fetched(t *testing.T, from, end int64) *sarama.MockFetchResponse {
	records := sarama.NewMockFetchResponse(t, 2).SetHighWaterMark("usage", 0, end)
	for offset := from; offset < end; offset++ {
		records.SetMessage("usage", 0, offset, sarama.StringEncoder("EUR"))
	}
	return records
}

// wait returns what comes from a channel, or fails the test.
func wait[T any](t *testing.T, what string, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(30 * time.Second):
		t.Fatalf("not within 30 s: %s", what)
	}
	return value
}

// Consumption begins at the ledger's position, and tells the ledger so with the first batch, without what an earlier
// consumption knew. What is booked moves its position on. Nothing of it is left running when it ends.
func TestAConsumption(t *testing.T) {
	broker := script{partitions: 1, offsets: between(t, 3, 9), fetches: fetched(t, 5, 9)}.start(t)
	for name, c := range map[string]struct {
		at    map[int32]ledger.Position
		first map[int32]int64
	}{
		"begins":               {map[int32]ledger.Position{}, map[int32]int64{}},
		"goes on":              {map[int32]ledger.Position{0: {Offset: 5}}, map[int32]int64{0: 5}},
		"has one left to book": {map[int32]ledger.Position{0: {Offset: 8}}, map[int32]int64{0: 8}},
	} {
		nothingIsLeft := noLeak(t)
		r := &reading{c.at, nil, make(chan ledger.Batch)}
		u := consumer(nil, nil)
		u.Broker, u.Book, u.known = broker, r, map[int32]int64{0: 4}
		ctx, cancel := context.WithCancel(t.Context())
		succeeded := make(chan struct{}, 100)
		ended := make(chan error, 1)
		go func() { ended <- u.consume(ctx, func() { succeeded <- struct{}{} }) }()
		first := wait(t, "the first batch", r.batches)
		if fmt.Sprint(first.From) != fmt.Sprint(c.first) {
			t.Errorf("%s: the first batch goes on from %v", name, first.From)
		}
		for next := first.Next[0]; next < 9; {
			b := wait(t, "the next batch", r.batches)
			if b.From[0] != next {
				t.Errorf("%s: after %d a batch goes on from %d", name, next, b.From[0])
			}
			next = b.Next[0]
		}
		wait(t, "it is told", succeeded)
		cancel()
		if err := wait(t, "the end", ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: ended with %v", name, err)
		}
		nothingIsLeft()
	}
}

// Where there is nothing to book the lag is 0 from the first look on, nothing is booked, and health is good all the same.
func TestAnIdleConsumption(t *testing.T) {
	u := consumer(nil, nil)
	u.Broker = script{partitions: 1, offsets: between(t, 3, 9), fetches: fetched(t, 9, 9)}.start(t)
	r := &reading{map[int32]ledger.Position{0: {Offset: 9}}, nil, make(chan ledger.Batch, 100)}
	u.Book = r
	u.lag.Store(-1)
	ctx, cancel := context.WithCancel(t.Context())
	succeeded := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() { ended <- u.consume(ctx, func() { succeeded <- struct{}{} }) }()
	wait(t, "a sign of life", succeeded)
	for deadline := time.Now().Add(30 * time.Second); u.Stats().Lag == -1 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := wait(t, "the end", ended); !errors.Is(err, context.Canceled) || len(r.batches) != 0 || u.Stats().Lag != 0 {
		t.Errorf("ended with %v, %d batches, lag %d", err, len(r.batches), u.Stats().Lag)
	}
}

// refusing is a ledger that cannot book.
type refusing struct{ reading }

func (*refusing) Apply(context.Context, ledger.Batch) (ledger.Booked, error) {
	return ledger.Booked{}, errAway
}

// A ledger that fails ends the consumption at once, though the broker has more, and though nobody else ends it.
func TestALedgerThatFailsEndsTheConsumption(t *testing.T) {
	u := consumer(nil, nil)
	u.Broker, u.Book = script{partitions: 1, offsets: between(t, 3, 9), fetches: fetched(t, 3, 9)}.start(t), &refusing{}
	ended := make(chan error, 1)
	go func() { ended <- u.consume(t.Context(), func() { t.Error("told as a success") }) }()
	if err := wait(t, "the end", ended); err != errAway {
		t.Errorf("ended with %v", err)
	}
}

// Once the broker names another topic, nothing more is booked: it may be of either.
func TestNothingIsBookedOfATopicThatIsAnotherOne(t *testing.T) {
	b := silent(t)
	s := script{id: sarama.Uuid{1}, partitions: 1, offsets: between(t, 0, 2*maxBatch), fetches: fetched(t, 0, 2*maxBatch)}
	s.follow(t, b)
	r := &reading{nil, nil, make(chan ledger.Batch)}
	u := consumer(nil, nil)
	u.Broker, u.Book = Broker{Addresses: []string{b.Addr()}}, r
	ended := make(chan error, 1)
	go func() { ended <- u.consume(t.Context(), func() { s.id = sarama.Uuid{2}; s.follow(t, b) }) }()
	wait(t, "the first batch", r.batches)
	select {
	case <-r.batches:
		t.Error("a batch is booked")
	case err := <-ended:
		if err != errOtherTopic {
			t.Errorf("ended with %v", err)
		}
	}
}

// late is a ledger that fails to move a position, but not before a condition is met.
type late struct {
	reading
	met func() bool
}

func (l *late) Retire(context.Context, string, int32, ledger.Position) error {
	for deadline := time.Now().Add(30 * time.Second); !l.met() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	return errAway
}

// A consumption that cannot begin with one partition leaves none of the others running, though they have records to pass on.
func TestHalfAConsumptionIsEnded(t *testing.T) {
	b := silent(t)
	offsets := between(t, 3, 9).SetOffset("usage", 1, sarama.OffsetOldest, 3).SetOffset("usage", 1, sarama.OffsetNewest, 4)
	script{partitions: 2, offsets: offsets, fetches: fetched(t, 3, 9)}.follow(t, b)
	nothingIsLeft := noLeak(t)
	u := consumer(nil, nil)
	u.Broker, u.Patience = Broker{Addresses: []string{b.Addr()}}, 0
	u.Book = &late{reading{at: map[int32]ledger.Position{1: {Offset: 5}}}, func() bool {
		// The next records are fetched when the ones before have been passed on.
		fetches := 0
		for _, seen := range b.History() {
			if _, fetch := seen.Request.(*sarama.FetchRequest); fetch {
				fetches++
			}
		}
		return fetches >= 2
	}}
	if err := u.consume(t.Context(), func() {}); !errors.Is(err, errAway) {
		t.Errorf("ended with %v", err)
	}
	nothingIsLeft()
}
