package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
)

// A batch has at most maxBatch records, and waits batchWait for those that follow the first, however many come; it is empty
// when none has come within idleWait.
func TestBatchesAreGathered(t *testing.T) {
	many := make([]time.Duration, maxBatch+1)
	steady := make([]time.Duration, 100)
	for n := range steady {
		steady[n] = time.Duration(n) * 3 * time.Millisecond
	}
	for name, c := range map[string]struct {
		// come is when the records come.
		come    []time.Duration
		records int
		after   time.Duration
	}{
		"nothing comes":         {nil, 0, idleWait},
		"one comes late":        {[]time.Duration{idleWait - 1}, 1, idleWait - 1 + batchWait},
		"one comes too late":    {[]time.Duration{idleWait + 1}, 0, idleWait},
		"some follow, one late": {[]time.Duration{0, batchWait - 1, batchWait + 1}, 2, batchWait},
		"they never cease":      {steady, 7, batchWait},
		"more than a batch":     {many, maxBatch, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			merged := make(chan *sarama.ConsumerMessage)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			began := time.Now()
			go func() {
				for n, at := range c.come {
					select {
					case <-time.After(time.Until(began.Add(at))):
					case <-ctx.Done():
						return
					}
					select {
					case merged <- message(0, int64(n), "EUR"):
					case <-ctx.Done():
						return
					}
				}
			}()
			batch, err := consumer(nil, nil).gather(t.Context(), merged)
			if err != nil || len(batch) != c.records || time.Since(began) != c.after {
				t.Errorf("%s: %d records after %v, %v", name, len(batch), time.Since(began), err)
			}
		})
	}
}

// Gathering ends at once, and with the reason, when consumption does.
func TestGatheringEndsWithItsReason(t *testing.T) {
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errOtherTopic)
	if _, err := consumer(nil, nil).gather(ended, nil); err != errOtherTopic {
		t.Errorf("ended with %v", err)
	}
}

// partition is a partition's consumer that has these messages.
type partition struct {
	sarama.PartitionConsumer
	messages chan *sarama.ConsumerMessage
}

func (p partition) Messages() <-chan *sarama.ConsumerMessage { return p.messages }

// Records are passed on in their order. A partition whose consumer ends takes the others with it, because nobody would miss it.
func TestAPartitionThatEndsStopsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := partition{messages: make(chan *sarama.ConsumerMessage, 2)}
		p.messages <- message(0, 1, "EUR")
		p.messages <- message(0, 2, "EUR")
		close(p.messages)
		ctx, stop := context.WithCancelCause(t.Context())
		merged := make(chan *sarama.ConsumerMessage)
		go forward(ctx, p, merged, stop)
		for _, want := range []int64{1, 2} {
			if m := <-merged; m.Offset != want {
				t.Errorf("offset %d, want %d", m.Offset, want)
			}
		}
		<-ctx.Done()
		if err := context.Cause(ctx); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("stopped with %v", err)
		}
	})
}

// Nothing is left running when consumption ends, whether a partition waits for a record or for its record to be taken.
func TestForwardingEndsWithConsumption(t *testing.T) {
	for _, records := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			p := partition{messages: make(chan *sarama.ConsumerMessage, 1)}
			for range records {
				p.messages <- message(0, 1, "EUR")
			}
			ctx, stop := context.WithCancelCause(t.Context())
			// synctest fails the test if this does not return.
			go forward(ctx, p, make(chan *sarama.ConsumerMessage), stop)
			synctest.Wait()
			stop(nil)
		})
	}
}
