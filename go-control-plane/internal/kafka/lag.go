package kafka

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
)

// probeBytes is how much of the log is read to see whether there is anything to book.
const probeBytes = 64 << 10

// skip returns the offset of the first record from an offset on that is to be booked, or how far it has seen that there is
// none: the markers of transactions, and records of aborted ones, take offsets too, and consumption passes over them without
// a word.
func (w watcher) skip(partition int32, from int64) (int64, error) {
	leader, err := w.client.Leader(w.Topic, partition)
	if err != nil {
		return from, err
	}
	request := &sarama.FetchRequest{Version: 10, MaxBytes: probeBytes, Isolation: sarama.ReadCommitted, SessionEpoch: -1}
	request.AddBlock(w.Topic, partition, from, probeBytes, -1)
	response, err := leader.Fetch(request)
	if err != nil {
		return from, err
	}
	block := response.GetBlock(w.Topic, partition)
	if block == nil {
		return from, fmt.Errorf("partition %d: %w", partition, sarama.ErrIncompleteResponse)
	}
	if block.Err != sarama.ErrNoError {
		return from, fmt.Errorf("partition %d: %w", partition, block.Err)
	}
	return firstToBook(block, from), nil
}

// firstToBook is what skip returns, in the answer of the leader.
func firstToBook(block *sarama.FetchResponseBlock, from int64) int64 {
	pending := slices.SortedFunc(slices.Values(block.AbortedTransactions), func(a, b *sarama.AbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	// The producers whose transaction at this point of the log is aborted.
	aborted := map[int64]bool{}
	for _, records := range block.RecordsSet {
		batch := records.RecordBatch
		if batch == nil || batch.PartialTrailingRecord {
			return from
		}
		for len(pending) > 0 && pending[0].FirstOffset <= batch.LastOffset() {
			aborted[pending[0].ProducerID] = true
			pending = pending[1:]
		}
		switch {
		case batch.Control:
			delete(aborted, batch.ProducerID)
		case !batch.IsTransactional || !aborted[batch.ProducerID]:
			return max(from, batch.FirstOffset)
		}
		from = max(from, batch.LastOffset()+1)
	}
	return from
}
