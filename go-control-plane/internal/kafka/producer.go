package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/outbox"
)

// publishTimeout limits a call of Publish, including the retries of the library.
const publishTimeout = 15 * time.Second

var errNoAnswer = errors.New("kafka: no answer in time")

// Producer publishes messages with the acknowledgement of all in-sync replicas. It connects on first use and reconnects after
// every failure, because the library's idempotent producer does not recover reliably.
type Producer struct {
	broker Broker

	mu      sync.Mutex
	current *connection
}

// connection is a producer and its client.
type connection struct {
	client   sarama.Client
	producer sarama.SyncProducer
}

// NewProducer returns a producer that is not connected yet.
func NewProducer(broker Broker) *Producer { return &Producer{broker: broker} }

var _ outbox.Publisher = (*Producer)(nil)

// Publish sends messages in order and returns the number of leading messages that are durable. It returns when ctx is done or
// publishTimeout has passed, even if the library does not.
func (p *Producer) Publish(ctx context.Context, messages []outbox.Message) (published int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if p.current == nil {
		if p.current, err = connect(p.broker); err != nil {
			return 0, err
		}
	}
	records := make([]*sarama.ProducerMessage, len(messages))
	for i, m := range messages {
		records[i] = record(m)
	}
	sent := make(chan error, 1)
	go func(producer sarama.SyncProducer) { sent <- producer.SendMessages(records) }(p.current.producer)
	timer := time.NewTimer(publishTimeout)
	defer timer.Stop()
	select {
	case err = <-sent:
		if err == nil {
			return len(messages), nil
		}
		published, err = firstDurable(records, err)
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = errNoAnswer
	}
	p.current.abandon()
	p.current = nil
	return published, err
}

// Close ends the connection.
func (p *Producer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		p.current.abandon()
		p.current = nil
	}
}

func connect(b Broker) (*connection, error) {
	client, err := sarama.NewClient(b.Addresses, b.config())
	if err != nil {
		return nil, err
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		client.Close()
		return nil, err
	}
	return &connection{client, producer}, nil
}

// abandon closes the client first, so that no message of this producer is sent after those of its successor. It does not wait,
// because a producer that has lost its broker may take long to close.
func (c *connection) abandon() {
	go func() {
		c.client.Close()
		c.producer.Close()
	}()
}

// firstDurable returns the number of records before the first one that failed.
func firstDurable(records []*sarama.ProducerMessage, err error) (int, error) {
	var failures sarama.ProducerErrors
	if !errors.As(err, &failures) || len(failures) == 0 {
		return 0, err
	}
	failed := map[*sarama.ProducerMessage]struct{}{}
	for _, f := range failures {
		failed[f.Msg] = struct{}{}
	}
	for n, r := range records {
		if _, bad := failed[r]; bad {
			return n, failures[0]
		}
	}
	return 0, err
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
