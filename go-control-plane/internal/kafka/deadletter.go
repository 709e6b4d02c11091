package kafka

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/outbox"
)

// A dead letter with all of these is within what brokers and producers take by default, about 1 MB: one that the broker
// refuses would stop the partition.
const (
	maxDeadValue   = 512 << 10
	maxDeadKey     = 64 << 10
	maxDeadHeaders = 64 << 10
	maxDeadReason  = 1 << 10
)

// truncatedFrom is the header with the bytes that the record's key and value had.
const truncatedFrom = "dead-letter-truncated-from"

// deadLetter is the record with headers that say why and where it came from. What is too long is cut, and a header says how
// long it was.
func (u *UsageConsumer) deadLetter(m *sarama.ConsumerMessage, reason error) outbox.Message {
	dead := outbox.Message{Topic: u.DeadLetterTopic, Key: first(m.Key, maxDeadKey), Value: first(m.Value, maxDeadValue)}
	size := 0
	for _, h := range m.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if size <= maxDeadHeaders {
		for _, h := range m.Headers {
			dead.Headers = append(dead.Headers, outbox.Header{Name: string(h.Key), Value: string(h.Value)})
		}
	}
	if size > maxDeadHeaders || len(dead.Key) < len(m.Key) || len(dead.Value) < len(m.Value) {
		dead.Headers = append(dead.Headers, outbox.Header{Name: truncatedFrom, Value: strconv.Itoa(len(m.Key) + len(m.Value))})
	}
	dead.Headers = append(dead.Headers,
		outbox.Header{Name: "dead-letter-reason", Value: string(first([]byte(reason.Error()), maxDeadReason))},
		outbox.Header{Name: "dead-letter-partition", Value: strconv.Itoa(int(m.Partition))},
		outbox.Header{Name: "dead-letter-offset", Value: strconv.FormatInt(m.Offset, 10)})
	return dead
}

// publishDead publishes dead letters. One that the broker refuses for what it is goes without the record's own bytes.
func (u *UsageConsumer) publishDead(ctx context.Context, dead []outbox.Message) error {
	for len(dead) > 0 {
		published, err := u.Producer.Publish(ctx, dead)
		if err == nil {
			return nil
		}
		dead = dead[published:]
		if !isOfTheRecord(err) || len(dead) == 0 || !strip(&dead[0]) {
			return err
		}
	}
	return nil
}

// isOfTheRecord reports whether the record itself is at fault, so that no other attempt sends it.
func isOfTheRecord(err error) bool {
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.Is(err, sarama.ErrInvalidMessage) || errors.Is(err, sarama.ErrInvalidRecord)
}

// strip leaves only the headers that say why a record is a dead letter and where it came from. It returns false if there was
// nothing else.
func strip(dead *outbox.Message) bool {
	size := len(dead.Key) + len(dead.Value)
	kept := slices.DeleteFunc(slices.Clone(dead.Headers), func(h outbox.Header) bool { return !strings.HasPrefix(h.Name, "dead-letter-") })
	if size == 0 && len(kept) == len(dead.Headers) {
		return false
	}
	if !slices.ContainsFunc(kept, func(h outbox.Header) bool { return h.Name == truncatedFrom }) {
		kept = append(kept, outbox.Header{Name: truncatedFrom, Value: strconv.Itoa(size)})
	}
	dead.Key, dead.Value, dead.Headers = nil, []byte{}, kept
	return true
}

func first(b []byte, limit int) []byte {
	return b[:min(len(b), limit)]
}
