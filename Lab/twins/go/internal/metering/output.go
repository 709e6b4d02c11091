package metering

import (
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/twins/internal/cloudevent"
)

const usageWindow = "hybrid.usage.window.v1"

// A dead letter with all of these is within what brokers and producers take by default, about 1 MB.
const (
	maxDeadValue   = 512 << 10
	maxDeadKey     = 64 << 10
	maxDeadHeaders = 64 << 10
	maxDeadReason  = 1 << 10
)

func usageRecord(topic, source string, w *usagev1.UsageWindow) (*sarama.ProducerMessage, error) {
	value, err := proto.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode a usage window: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make an id: %w", err)
	}
	event := cloudevent.Event{
		ID: id.String(), Source: source, Type: usageWindow, Time: time.Now(), Traceparent: cloudevent.NewTraceparent(),
	}
	key := w.GetCurrencyCode() + "/" + w.GetJurisdiction()
	return &sarama.ProducerMessage{
		Topic: topic, Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(value), Headers: event.Headers(),
	}, nil
}

// deadLetter returns the record with headers that say why and where it came from. What is too long is cut, and a header says
// how long it was.
func deadLetter(topic string, m *sarama.ConsumerMessage, reason error) *sarama.ProducerMessage {
	key, value := m.Key[:min(len(m.Key), maxDeadKey)], m.Value[:min(len(m.Value), maxDeadValue)]
	size := 0
	for _, h := range m.Headers {
		size += len(h.Key) + len(h.Value)
	}
	dead := &sarama.ProducerMessage{Topic: topic}
	if key != nil {
		dead.Key = sarama.ByteEncoder(key)
	}
	if value != nil {
		dead.Value = sarama.ByteEncoder(value)
	}
	if size <= maxDeadHeaders {
		for _, h := range m.Headers {
			dead.Headers = append(dead.Headers, *h)
		}
	}
	add := func(name, value string) {
		dead.Headers = append(dead.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	why := reason.Error()
	add("dead-letter-reason", why[:min(len(why), maxDeadReason)])
	add("dead-letter-partition", strconv.Itoa(int(m.Partition)))
	add("dead-letter-offset", strconv.FormatInt(m.Offset, 10))
	if size > maxDeadHeaders || len(key) < len(m.Key) || len(value) < len(m.Value) {
		add("dead-letter-truncated-from", strconv.Itoa(len(m.Key)+len(m.Value)))
	}
	return dead
}
