package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/ledger"
	"hybrid/control-plane/internal/outbox"
)

// ends is a client that knows the ends of one partition.
type ends struct {
	sarama.Client
	oldest, newest int64
}

func (e ends) GetOffset(_ string, _ int32, at int64) (int64, error) {
	if at == sarama.OffsetOldest {
		return e.oldest, nil
	}
	return e.newest, nil
}

// retiring is a ledger that notes where its position is moved to.
type retiring struct {
	book
	to []ledger.Position
}

func (r *retiring) Retire(_ context.Context, _ string, _ int32, to ledger.Position) error {
	r.to = append(r.to, to)
	return nil
}

func TestConsumptionStartsWhereTheLogAllows(t *testing.T) {
	for name, c := range map[string]struct {
		log     ends
		known   bool
		at      ledger.Position
		topicID string
		standIn bool
		start   int64
		retired string
		missing int64
		says    string
	}{
		"never consumed":           {log: ends{oldest: 3, newest: 9}, topicID: "a", start: 3},
		"goes on":                  {log: ends{oldest: 3, newest: 9}, known: true, at: ledger.Position{Offset: 5, TopicID: "a"}, topicID: "a", start: 5},
		"at the end":               {log: ends{oldest: 3, newest: 9}, known: true, at: ledger.Position{Offset: 9, TopicID: "a"}, topicID: "a", start: 9},
		"at the beginning":         {log: ends{oldest: 3, newest: 9}, known: true, at: ledger.Position{Offset: 3, TopicID: "a"}, topicID: "a", start: 3},
		"deleted by retention":     {log: ends{oldest: 3, newest: 9}, known: true, at: ledger.Position{Offset: 1, TopicID: "a"}, topicID: "a", start: 3, missing: 2, says: "were deleted"},
		"lost its end":             {log: ends{newest: 9}, known: true, at: ledger.Position{Offset: 10, TopicID: "a"}, topicID: "a", start: 9, retired: "[{9 a}]", says: "lost records that were booked"},
		"lost its end, in memory":  {log: ends{newest: 9}, known: true, at: ledger.Position{Offset: 10}, standIn: true, start: 0, retired: "[{0 }]", says: "lost records that were booked"},
		"made anew":                {log: ends{newest: 9}, known: true, at: ledger.Position{Offset: 5, TopicID: "a"}, topicID: "b", start: 0, retired: "[{0 b}]", missing: 7, says: "made anew"},
		"made anew, and pruned":    {log: ends{oldest: 2, newest: 9}, known: true, at: ledger.Position{Offset: 5, TopicID: "a"}, topicID: "b", start: 2, retired: "[{0 b}]", missing: 9, says: "made anew"},
		"made anew, all booked":    {log: ends{newest: 9}, known: true, at: ledger.Position{Offset: 12, TopicID: "a"}, topicID: "b", start: 0, retired: "[{0 b}]", says: "made anew"},
		"made anew, end not known": {log: ends{newest: 9}, known: true, at: ledger.Position{Offset: 5, TopicID: "z"}, topicID: "b", start: 0, retired: "[{0 b}]", says: "made anew"},
		"no id noted yet":          {log: ends{newest: 9}, known: true, at: ledger.Position{Offset: 5}, topicID: "b", start: 5},
		"the broker tells no id":   {log: ends{newest: 9}, known: true, at: ledger.Position{Offset: 5, TopicID: "a"}, start: 5},
	} {
		t.Run(name, func(t *testing.T) {
			var lines bytes.Buffer
			r := &retiring{}
			u := consumer(nil, nil)
			u.Book, u.Log, u.Broker.StandIn = r, slog.New(slog.NewTextHandler(&lines, nil)), c.standIn
			u.ends, u.endsOf = map[int32]int64{0: 12}, "a"
			var lost []string
			u.Lost = func(reason string) { lost = append(lost, reason) }
			next := map[int32]ledger.Position{}
			if c.known {
				next[0] = c.at
			}
			start, err := u.start(t.Context(), c.log, 0, c.topicID, next)
			if err != nil || start != c.start {
				t.Errorf("starts at %d, %v; want %d", start, err, c.start)
			}
			if c.retired == "" {
				c.retired = "[]"
			}
			if fmt.Sprint(r.to) != c.retired || (len(r.to) > 0 && next[0] != r.to[0]) {
				t.Errorf("retired to %v, next %v", r.to, next)
			}
			if u.Stats().Missing != c.missing || (c.says == "") != (lines.Len() == 0) || !strings.Contains(lines.String(), c.says) {
				t.Errorf("%d missing, lines:\n%s", u.Stats().Missing, lines.String())
			}
			if told := len(lost) > 0; told != (strings.Contains(c.says, "deleted") || strings.Contains(c.says, "anew")) {
				t.Errorf("lost %v", lost)
			}
		})
	}
}

// A log that ends too early is waited for as long as patience lasts, anew after each time that it was whole.
func TestAShortLogIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &retiring{}
		u := consumer(nil, nil)
		u.Book, u.Patience = r, time.Hour
		next := map[int32]ledger.Position{0: {Offset: 10}}
		waits := func() {
			t.Helper()
			if _, err := u.start(t.Context(), ends{newest: 9}, 0, "", next); err == nil || len(r.to) != 0 {
				t.Fatalf("%v, retired %v", err, r.to)
			}
		}
		waits()
		time.Sleep(time.Hour - 1)
		waits()
		if start, err := u.start(t.Context(), ends{newest: 10}, 0, "", next); err != nil || start != 10 {
			t.Errorf("starts at %d, %v", start, err)
		}
		waits()
		time.Sleep(time.Hour - 1)
		waits()
		time.Sleep(1)
		if start, err := u.start(t.Context(), ends{newest: 9}, 0, "", next); err != nil || start != 9 || len(r.to) != 1 {
			t.Errorf("starts at %d, %v, retired %v", start, err, r.to)
		}
	})
}

// What is exactly as long as it may be is kept whole. Of a long reason the first kilobyte is.
func TestDeadLettersAtTheLimits(t *testing.T) {
	const kB = 1024
	header := func(size int) []*sarama.RecordHeader {
		return []*sarama.RecordHeader{{Key: []byte("a"), Value: make([]byte, size-1)}}
	}
	for name, c := range map[string]struct {
		record sarama.ConsumerMessage
		whole  bool
	}{
		"value":         {sarama.ConsumerMessage{Value: make([]byte, 512*kB)}, true},
		"longer value":  {sarama.ConsumerMessage{Value: make([]byte, 512*kB+1)}, false},
		"key":           {sarama.ConsumerMessage{Key: make([]byte, 64*kB)}, true},
		"longer key":    {sarama.ConsumerMessage{Key: make([]byte, 64*kB+1)}, false},
		"header":        {sarama.ConsumerMessage{Headers: header(64 * kB)}, true},
		"longer header": {sarama.ConsumerMessage{Headers: header(64*kB + 1)}, false},
	} {
		dead := consumer(nil, nil).deadLetter(&c.record, errors.New(strings.Repeat("r", kB+1)))
		names := map[string]string{}
		for _, h := range dead.Headers {
			names[h.Name] = h.Value
		}
		kept := len(dead.Key) == len(c.record.Key) && len(dead.Value) == len(c.record.Value)
		for _, h := range c.record.Headers {
			kept = kept && names[string(h.Key)] == string(h.Value)
		}
		if _, cut := names[truncatedFrom]; cut == c.whole || kept != c.whole {
			t.Errorf("%s: cut %t, kept whole %t", name, cut, kept)
		}
		if n := len(names["dead-letter-reason"]); n != kB {
			t.Errorf("%s: %d bytes of the reason", name, n)
		}
	}
}

// What is stripped is all but why and where from; a dead letter that has nothing else cannot lose more.
func TestStripping(t *testing.T) {
	why, other, cut := outbox.Header{Name: "dead-letter-reason", Value: "poison"}, outbox.Header{Name: "ce_id", Value: "1"}, outbox.Header{Name: truncatedFrom, Value: "99"}
	for name, c := range map[string]struct {
		dead    outbox.Message
		headers []outbox.Header
	}{
		"a key":              {outbox.Message{Key: []byte("123"), Headers: []outbox.Header{why}}, []outbox.Header{why, {Name: truncatedFrom, Value: "3"}}},
		"a key and a value":  {outbox.Message{Key: []byte("123"), Value: []byte("45"), Headers: []outbox.Header{why}}, []outbox.Header{why, {Name: truncatedFrom, Value: "5"}}},
		"another header":     {outbox.Message{Headers: []outbox.Header{other, why}}, []outbox.Header{why, {Name: truncatedFrom, Value: "0"}}},
		"one that is cut":    {outbox.Message{Value: []byte("45"), Headers: []outbox.Header{cut, why}}, []outbox.Header{cut, why}},
		"nothing but why":    {outbox.Message{Headers: []outbox.Header{why}}, nil},
		"nothing, since cut": {outbox.Message{Value: []byte{}, Headers: []outbox.Header{why, cut}}, nil},
	} {
		before := fmt.Sprint(c.dead)
		if stripped := strip(&c.dead); stripped != (c.headers != nil) {
			t.Errorf("%s: stripped %t", name, stripped)
		} else if !stripped && fmt.Sprint(c.dead) != before {
			t.Errorf("%s: %v", name, c.dead)
		} else if stripped && (fmt.Sprint(c.dead.Headers) != fmt.Sprint(c.headers) || c.dead.Key != nil || c.dead.Value == nil || len(c.dead.Value) > 0) {
			t.Errorf("%s: %v", name, c.dead)
		}
	}
}

// Errors that say that another producer has the place are told from others.
func TestFencedErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		fenced bool
	}{{sarama.ErrProducerFenced, true}, {sarama.ErrInvalidProducerEpoch, true}, {&sarama.ProducerError{Err: sarama.ErrProducerFenced}, true},
		{sarama.ErrNotLeaderForPartition, false}} {
		if got := strings.Contains(fenced(c.err).Error(), "another publisher"); got != c.fenced {
			t.Errorf("%v is fenced: %t", c.err, got)
		}
	}
}

// once is a publisher that fails once.
type once struct {
	publisher
	err error
}

func (o *once) Publish(ctx context.Context, messages []outbox.Message) (int, error) {
	if err := o.err; err != nil {
		o.err = nil
		return 0, err
	}
	return o.publisher.Publish(ctx, messages)
}

// Only what is refused for what it is loses its bytes; a broker that is away gets it whole later.
func TestOnlyRefusedDeadLettersAreStripped(t *testing.T) {
	for _, c := range []struct {
		err      error
		stripped bool
	}{{sarama.ErrMessageSizeTooLarge, true}, {sarama.ErrInvalidMessage, true}, {sarama.ErrInvalidRecord, true}, {sarama.ErrNotEnoughReplicas, false}} {
		o := &once{err: c.err}
		u := consumer(&book{}, nil)
		u.Producer = o
		messages := []*sarama.ConsumerMessage{message(0, 4, "x")}
		err := u.bookAll(t.Context(), "", messages)
		if (err == nil) != c.stripped {
			t.Errorf("%v: %v", c.err, err)
		}
		if err != nil {
			if err := u.bookAll(t.Context(), "", messages); err != nil {
				t.Fatal(err)
			}
		}
		if len(o.published) != 1 || (len(o.published[0].Value) == 0) != c.stripped {
			t.Errorf("%v: published %v", c.err, o.published)
		}
	}
}
