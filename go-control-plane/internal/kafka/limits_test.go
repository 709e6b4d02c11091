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

var errAway = errors.New("away")

// What is read and not booked begins at a record: markers, and records of aborted transactions, are passed over.
func TestTheFirstRecordToBook(t *testing.T) {
	records := func(first int64, last int32, producer int64, transactional bool) *sarama.Records {
		return &sarama.Records{RecordBatch: &sarama.RecordBatch{FirstOffset: first, LastOffsetDelta: last, ProducerID: producer, IsTransactional: transactional}}
	}
	marker := func(offset, producer int64) *sarama.Records {
		return &sarama.Records{RecordBatch: &sarama.RecordBatch{FirstOffset: offset, ProducerID: producer, IsTransactional: true, Control: true}}
	}
	cut := &sarama.Records{RecordBatch: &sarama.RecordBatch{FirstOffset: 8, PartialTrailingRecord: true}}
	aborted := func(producer, first int64) *sarama.AbortedTransaction {
		return &sarama.AbortedTransaction{ProducerID: producer, FirstOffset: first}
	}
	for name, c := range map[string]struct {
		records []*sarama.Records
		aborted []*sarama.AbortedTransaction
		want    int64
	}{
		"nothing":                         {nil, nil, 5},
		"a record":                        {[]*sarama.Records{records(5, 0, 1, false)}, nil, 5},
		"a record further on":             {[]*sarama.Records{records(7, 0, 1, true)}, nil, 7},
		"a batch that began before":       {[]*sarama.Records{records(3, 4, 1, true)}, nil, 5},
		"a marker alone":                  {[]*sarama.Records{marker(5, 1)}, nil, 6},
		"a marker, and a record":          {[]*sarama.Records{marker(5, 1), records(6, 0, 1, true)}, nil, 6},
		"an old format":                   {[]*sarama.Records{{}}, nil, 5},
		"a batch that is cut":             {[]*sarama.Records{marker(5, 1), cut}, nil, 6},
		"an aborted one":                  {[]*sarama.Records{records(5, 1, 1, true), marker(7, 1)}, []*sarama.AbortedTransaction{aborted(1, 5)}, 8},
		"aborted with its last record":    {[]*sarama.Records{records(5, 1, 1, true), marker(7, 1)}, []*sarama.AbortedTransaction{aborted(1, 6)}, 8},
		"aborted only later":              {[]*sarama.Records{records(5, 1, 1, true)}, []*sarama.AbortedTransaction{aborted(1, 7)}, 5},
		"after an aborted one":            {[]*sarama.Records{records(5, 1, 1, true), marker(7, 1), records(8, 0, 1, true)}, []*sarama.AbortedTransaction{aborted(1, 5)}, 8},
		"of another producer":             {[]*sarama.Records{records(5, 1, 1, true), records(7, 0, 2, true)}, []*sarama.AbortedTransaction{aborted(1, 5)}, 7},
		"without a transaction, the same": {[]*sarama.Records{records(5, 1, 1, true), records(7, 0, 1, false)}, []*sarama.AbortedTransaction{aborted(1, 5)}, 7},
		"two aborted, in another order": {[]*sarama.Records{records(5, 0, 1, true), records(6, 0, 2, true), marker(7, 1), marker(8, 2)},
			[]*sarama.AbortedTransaction{aborted(2, 6), aborted(1, 5)}, 9},
	} {
		if got := firstToBook(&sarama.FetchResponseBlock{RecordsSet: c.records, AbortedTransactions: c.aborted}, 5); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestTheIdOfATopic(t *testing.T) {
	response := &sarama.MetadataResponse{Topics: []*sarama.TopicMetadata{
		{Name: "other", Uuid: sarama.Uuid{9}}, {Name: "known", Uuid: sarama.Uuid{1}}, {Name: "old"}, {Name: "gone", Err: sarama.ErrUnknownTopicOrPartition},
	}}
	for topic, c := range map[string]struct {
		id  string
		err error
	}{
		"known": {"AQAAAAAAAAAAAAAAAAAAAA", nil}, "old": {"", nil}, "gone": {"", sarama.ErrUnknownTopicOrPartition}, "absent": {"", sarama.ErrUnknownTopicOrPartition},
	} {
		if id, err := idOf(response, topic); id != c.id || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", topic, id, err)
		}
	}
}

// broken is a client that does not know one end of a partition.
type broken struct {
	ends
	unknown int64
}

func (b broken) GetOffset(topic string, partition int32, at int64) (int64, error) {
	if at == b.unknown {
		return 0, errAway
	}
	return b.ends.GetOffset(topic, partition, at)
}

// stuck is a ledger whose positions cannot be read or moved.
type stuck struct {
	book
	stored map[int32]ledger.Position
}

func (*stuck) Retire(context.Context, string, int32, ledger.Position) error { return errAway }

func (s *stuck) Positions(context.Context, string) (map[int32]ledger.Position, error) {
	if s.stored == nil {
		return nil, errAway
	}
	return s.stored, nil
}

// Consumption does not start where it is not certain: not at an end that is not known, nor with a position that has not moved.
func TestConsumptionDoesNotStartInUncertainty(t *testing.T) {
	position := map[int32]ledger.Position{0: {Offset: 5, TopicID: "a"}}
	for name, c := range map[string]struct {
		client  sarama.Client
		topicID string
	}{
		"the beginning is not known":       {broken{ends{newest: 9}, sarama.OffsetOldest}, "a"},
		"the end is not known":             {broken{ends{newest: 9}, sarama.OffsetNewest}, "a"},
		"another topic, and a stuck store": {ends{newest: 9}, "b"},
		"a short log, and a stuck store":   {ends{newest: 3}, "a"},
	} {
		u := consumer(nil, nil)
		u.Book, u.Patience = &stuck{}, 0
		if start, err := u.start(t.Context(), c.client, 0, c.topicID, position); !errors.Is(err, errAway) {
			t.Errorf("%s: starts at %d, %v", name, start, err)
		}
		if u.Stats().Missing != 0 || fmt.Sprint(position) != fmt.Sprint(map[int32]ledger.Position{0: {Offset: 5, TopicID: "a"}}) {
			t.Errorf("%s: %d missing, position %v", name, u.Stats().Missing, position)
		}
	}
}

// A log that was made anew, or gave up waiting for its end, is waited for anew when it is short again.
func TestTheWaitForAShortLogBeginsAnew(t *testing.T) {
	for name, topicID := range map[string]string{"made anew": "b", "given up": "a"} {
		u := consumer(nil, nil)
		u.Book, u.Patience = &retiring{}, time.Hour
		u.short = map[int32]time.Time{0: time.Now().Add(-2 * time.Hour)}
		if _, err := u.start(t.Context(), ends{newest: 3}, 0, topicID, map[int32]ledger.Position{0: {Offset: 5, TopicID: "a"}}); err != nil || len(u.short) != 0 {
			t.Errorf("%s: %v, waited for since %v", name, err, u.short)
		}
	}
}

// A ledger that has an offset before the booked one went back; one at it, or further, did not, nor one that cannot be read now.
func TestALedgerThatWentBackIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		stored map[int32]ledger.Position
		back   bool
	}{
		"away": {nil, false}, "at it": {map[int32]ledger.Position{3: {Offset: 7}}, false}, "further": {map[int32]ledger.Position{3: {Offset: 8}}, false},
		"before it": {map[int32]ledger.Position{3: {Offset: 6}}, true}, "without it": {map[int32]ledger.Position{}, true},
	} {
		u := consumer(nil, nil)
		u.Book = &stuck{stored: c.stored}
		w := watcher{UsageConsumer: u, reached: map[int32]*progress{3: {}}}
		w.reached[3].booked.Store(7)
		if err := w.wentBack(t.Context()); errors.Is(err, ledger.ErrOffsetWentBack) != c.back {
			t.Errorf("%s: %v", name, err)
		}
	}
}
