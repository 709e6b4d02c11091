package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/ledger"
)

// start returns the offset to start at. Where the ledger's position has to move before, it moves in next too.
func (u *UsageConsumer) start(ctx context.Context, client sarama.Client, partition int32, topicID string, next map[int32]ledger.Position) (int64, error) {
	oldest, err := client.GetOffset(u.Topic, partition, sarama.OffsetOldest)
	if err != nil {
		return 0, err
	}
	position, known := next[partition]
	if !known {
		return oldest, nil
	}
	if !position.IsIn(topicID) {
		return u.anew(ctx, partition, topicID, oldest, next)
	}
	newest, err := client.GetOffset(u.Topic, partition, sarama.OffsetNewest)
	if err != nil {
		return 0, err
	}
	if newest < position.Offset {
		return u.shortened(ctx, partition, topicID, newest, next)
	}
	delete(u.short, partition)
	if position.Offset < oldest {
		lost := oldest - position.Offset
		u.missing.Add(lost)
		u.Log.ErrorContext(ctx, "records were deleted from the log before they were booked",
			"topic", u.Topic, "partition", partition, "lost_from", position.Offset, "lost_to", oldest)
		u.Lost(fmt.Sprintf("partition %d: %d offsets were deleted before they were booked", partition, lost))
		return oldest, nil
	}
	return position.Offset, nil
}

// anew begins with a log that is another one than the position's: the topic was deleted and made anew. What the ledger has
// booked of the old one it keeps. What was not booked of it is lost, and how much that is is known only as far as the end of
// the old log was read.
func (u *UsageConsumer) anew(ctx context.Context, partition int32, topicID string, oldest int64, next map[int32]ledger.Position) (int64, error) {
	position := next[partition]
	if err := u.retire(ctx, partition, ledger.Position{TopicID: topicID}, next); err != nil {
		return 0, err
	}
	delete(u.short, partition)
	lost := oldest
	if u.endsOf == position.TopicID {
		lost += max(0, u.ends[partition]-position.Offset)
	}
	u.missing.Add(lost)
	u.Log.ErrorContext(ctx, "the topic was deleted and made anew; it is read from its beginning, and what was not booked of the old one is lost",
		"topic", u.Topic, "partition", partition, "booked_up_to", position.Offset, "known_lost", lost)
	u.Lost(fmt.Sprintf("partition %d: the topic was deleted and made anew; what was not booked is lost, %d offsets at least", partition, lost))
	return oldest, nil
}

// shortened begins with a log that ends before the position, and so has lost records: all of them if it is kept in memory, else
// those at its end, which were booked. New records then reuse the offsets of the lost ones.
func (u *UsageConsumer) shortened(ctx context.Context, partition int32, topicID string, newest int64, next map[int32]ledger.Position) (int64, error) {
	offset := next[partition].Offset
	// A broker that has just started may not know the end of its log yet.
	if u.short == nil {
		u.short = map[int32]time.Time{}
	}
	since, seen := u.short[partition]
	if !seen {
		since = time.Now()
		u.short[partition] = since
	}
	if time.Since(since) < u.Patience {
		return 0, fmt.Errorf("partition %d ends at offset %d, and was booked up to %d", partition, newest, offset)
	}
	delete(u.short, partition)
	from := newest
	if u.Broker.StandIn {
		from = 0
	}
	u.Log.ErrorContext(ctx, "the broker lost records that were booked; the ledger keeps them and continues with the records in the log",
		"topic", u.Topic, "partition", partition, "booked_up_to", offset, "log_end", newest, "continue_at", from)
	return from, u.retire(ctx, partition, ledger.Position{Offset: from, TopicID: topicID}, next)
}

// retire moves the ledger's position of a partition, and that in next.
func (u *UsageConsumer) retire(ctx context.Context, partition int32, to ledger.Position, next map[int32]ledger.Position) error {
	if err := u.Book.Retire(ctx, u.Topic, partition, to); err != nil {
		return err
	}
	next[partition] = to
	return nil
}
