package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/IBM/sarama"
	"go.uber.org/goleak"

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

// Consumption begins at the ledger's position, and tells the ledger so with the first batch, without what an earlier
// consumption knew. What is booked moves its position on. Nothing of it is left running when it ends.
func TestAConsumption(t *testing.T) {
	records := sarama.NewMockFetchResponse(t, 2).SetHighWaterMark("usage", 0, 9)
	for offset := int64(5); offset < 9; offset++ {
		records.SetMessage("usage", 0, offset, sarama.StringEncoder("EUR"))
	}
	broker := script{partitions: 1, offsets: between(t, 3, 9), fetches: records}.start(t)
	for name, c := range map[string]struct {
		at    map[int32]ledger.Position
		first map[int32]int64
	}{
		"begins":  {map[int32]ledger.Position{}, map[int32]int64{}},
		"goes on": {map[int32]ledger.Position{0: {Offset: 7}}, map[int32]int64{0: 7}},
	} {
		before, ofTheBroker := goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("github.com/IBM/sarama.(*MockBroker).serverLoop.func1")
		r := &reading{c.at, nil, make(chan ledger.Batch)}
		u := consumer(nil, nil)
		u.Broker, u.Book, u.known = broker, r, map[int32]int64{0: 4}
		ctx, cancel := context.WithCancel(t.Context())
		var succeeded atomic.Int64
		ended := make(chan error, 1)
		go func() { ended <- u.consume(ctx, func() { succeeded.Add(1) }) }()
		first, next := <-r.batches, int64(0)
		if fmt.Sprint(first.From) != fmt.Sprint(c.first) {
			t.Errorf("%s: the first batch goes on from %v", name, first.From)
		}
		for next = first.Next[0]; next < 9; {
			b := <-r.batches
			if b.From[0] != next {
				t.Errorf("%s: after %d a batch goes on from %d", name, next, b.From[0])
			}
			next = b.Next[0]
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) || succeeded.Load() == 0 {
			t.Errorf("%s: ended with %v after %d successes", name, err, succeeded.Load())
		}
		if err := goleak.Find(before, ofTheBroker); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
