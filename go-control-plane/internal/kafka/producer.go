package kafka

import (
	"context"
	"errors"
	"sync"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/outbox"
)

// Producer publishes messages with acknowledgement of all replicas. It connects when it is first used, and anew after a
// failure: the library's idempotent producer is not to be trusted past one.
type Producer struct {
	broker Broker

	mu       sync.Mutex
	producer sarama.SyncProducer
}

// NewProducer makes a producer for broker.
func NewProducer(broker Broker) *Producer { return &Producer{broker: broker} }

var _ outbox.Publisher = (*Producer)(nil)

// Publish sends messages in order and gives how many of the first are durable.
func (p *Producer) Publish(ctx context.Context, messages []outbox.Message) (published int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if p.producer == nil {
		if p.producer, err = sarama.NewSyncProducer(p.broker.Addresses, p.broker.config()); err != nil {
			p.producer = nil
			return 0, err
		}
	}
	records := make([]*sarama.ProducerMessage, len(messages))
	for i, m := range messages {
		records[i] = record(m)
	}
	err = p.producer.SendMessages(records)
	if err == nil {
		return len(messages), nil
	}
	p.producer.Close()
	p.producer = nil
	failed := map[*sarama.ProducerMessage]struct{}{}
	var failures sarama.ProducerErrors
	if !errors.As(err, &failures) {
		return 0, err
	}
	for _, f := range failures {
		failed[f.Msg] = struct{}{}
	}
	for published < len(records) {
		if _, bad := failed[records[published]]; bad {
			break
		}
		published++
	}
	if len(failures) > 0 {
		err = failures[0]
	}
	return published, err
}

// Close ends the connection.
func (p *Producer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.producer != nil {
		p.producer.Close()
		p.producer = nil
	}
}

func record(m outbox.Message) *sarama.ProducerMessage {
	r := &sarama.ProducerMessage{Topic: m.Topic}
	if m.Key != nil {
		r.Key = sarama.ByteEncoder(m.Key)
	}
	if m.Value != nil {
		r.Value = sarama.ByteEncoder(m.Value)
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: []byte(h.Value)})
	}
	return r
}
