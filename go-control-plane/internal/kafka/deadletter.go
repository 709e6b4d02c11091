package kafka

import (
	"strconv"

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
		dead.Headers = append(dead.Headers, outbox.Header{Name: "dead-letter-truncated-from", Value: strconv.Itoa(len(m.Key) + len(m.Value))})
	}
	dead.Headers = append(dead.Headers,
		outbox.Header{Name: "dead-letter-reason", Value: string(first([]byte(reason.Error()), maxDeadReason))},
		outbox.Header{Name: "dead-letter-partition", Value: strconv.Itoa(int(m.Partition))},
		outbox.Header{Name: "dead-letter-offset", Value: strconv.FormatInt(m.Offset, 10)})
	return dead
}

func first(b []byte, limit int) []byte {
	return b[:min(len(b), limit)]
}
