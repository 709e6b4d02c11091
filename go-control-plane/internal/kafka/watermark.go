package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Watermark is kept while usage is consumed: all quotes whose events Kafka had at its time are counted by metering, and their usage
// is booked.
type Watermark struct {
	// Quotes is the topic of the events, Group the consumer group that counts them.
	Quotes, Group string
	// Raise is called with the age of each watermark that is reached.
	Raise func(ctx context.Context, age time.Duration) error
}

// toldFailures is how many failures in a row are worth a line. Metering's group has no coordinator for a moment at first.
const toldFailures = 3

// climber keeps the watermark while the log is watched.
type climber struct {
	next     ascent
	failures int
}

// climb goes on towards the next watermark. A failure ends nothing: the watermark stays where it is, which everybody sees.
func (c *climber) climb(ctx context.Context, w watcher) {
	booked := map[int32]int64{}
	for partition, progress := range w.reached {
		booked[partition] = progress.position.Load()
	}
	next, err := within(ctx, answerTimeout, func() (ascent, error) {
		return w.Watermark.climb(ctx, w.client, c.next, w.Topic, booked)
	}, func(ascent) {})
	switch {
	case ctx.Err() != nil:
	case err == nil:
		if c.next = next; c.failures >= toldFailures {
			w.Log.InfoContext(ctx, "the ledger is compared with the quotes again")
		}
		c.failures = 0
	default:
		if c.failures++; c.failures == toldFailures {
			w.Log.WarnContext(ctx, "the ledger cannot be compared with the quotes, so nodes will end discounts", "error", err)
		}
	}
}

// ascent is the way to the next watermark.
type ascent struct {
	// at is its time. Zero before one is chosen.
	at time.Time
	// quotes are the ends of the events at that time, and usage those of the usage once the events were counted, by partition.
	quotes, usage map[int32]int64
}

// climb goes as far as can be gone now. booked has the next offset to book of each partition of the usage topic.
func (m *Watermark) climb(ctx context.Context, client sarama.Client, a ascent, usageTopic string, booked map[int32]int64) (ascent, error) {
	now := time.Now()
	ends, err := endsOf(client, m.Quotes)
	if err != nil {
		return a, err
	}
	// The ends of a topic that was made anew are before those of the old one, which nobody reaches any more.
	if a.at.IsZero() || !reached(ends, a.quotes) {
		a = ascent{at: now, quotes: ends}
	}
	if a.usage == nil {
		counted, err := m.counted(client, a.quotes)
		if err != nil || !reached(counted, a.quotes) {
			return a, err
		}
		if a.usage, err = endsOf(client, usageTopic); err != nil {
			return a, err
		}
	}
	if !reached(booked, a.usage) {
		return a, nil
	}
	if err := m.Raise(ctx, time.Since(a.at)); err != nil {
		return a, err
	}
	return ascent{}, nil
}

// counted returns the offsets of the events that metering has committed.
func (m *Watermark) counted(client sarama.Client, of map[int32]int64) (map[int32]int64, error) {
	coordinator, err := client.Coordinator(m.Group)
	if err != nil {
		return nil, err
	}
	request := &sarama.OffsetFetchRequest{Version: 1, ConsumerGroup: m.Group}
	for partition := range of {
		request.AddPartition(m.Quotes, partition)
	}
	response, err := coordinator.FetchOffset(request)
	if err != nil {
		_ = client.RefreshCoordinator(m.Group)
		return nil, err
	}
	counted := map[int32]int64{}
	for partition := range of {
		block := response.GetBlock(m.Quotes, partition)
		switch {
		case block == nil:
			return nil, fmt.Errorf("offset of %s in partition %d: %w", m.Group, partition, sarama.ErrIncompleteResponse)
		case block.Err != sarama.ErrNoError:
			_ = client.RefreshCoordinator(m.Group)
			return nil, fmt.Errorf("offset of %s in partition %d: %w", m.Group, partition, block.Err)
		case block.Offset >= 0:
			counted[partition] = block.Offset
		default:
			// Nothing was ever committed: it begins at the beginning.
			if counted[partition], err = client.GetOffset(m.Quotes, partition, sarama.OffsetOldest); err != nil {
				return nil, err
			}
		}
	}
	return counted, nil
}

// endsOf returns the end of each partition of a topic.
func endsOf(client sarama.Client, topic string) (map[int32]int64, error) {
	partitions, err := client.Partitions(topic)
	if err != nil {
		return nil, err
	}
	ends := map[int32]int64{}
	for _, partition := range partitions {
		if ends[partition], err = client.GetOffset(topic, partition, sarama.OffsetNewest); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

// reached reports whether offsets are at the ends, or beyond them.
func reached(offsets, ends map[int32]int64) bool {
	for partition, end := range ends {
		if offsets[partition] < end {
			return false
		}
	}
	return true
}
