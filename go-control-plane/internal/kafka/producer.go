package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/outbox"
)

// publishTimeout bounds a call of Publish. The library retries within it.
const publishTimeout = 15 * time.Second

var errNoAnswer = errors.New("kafka: no answer in time")

// Producer publishes messages with acknowledgement of all replicas. It connects when it is first used, and anew after a
// failure: the library's idempotent producer is not to be trusted past one.
type Producer struct {
	broker Broker

	mu      sync.Mutex
	current *connection
}

// connection is a producer and the client that it sends through.
type connection struct {
	client   sarama.Client
	producer sarama.SyncProducer
}

// NewProducer makes a producer for broker.
func NewProducer(broker Broker) *Producer { return &Producer{broker: broker} }

var _ outbox.Publisher = (*Producer)(nil)

// Publish sends messages in order and gives how many of the first are durable. It ends with ctx, or after a time, even when
// the library does not.
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

// abandon cuts the connection first, so that nothing that is still under way goes out after what will be sent anew. Nobody
// waits for it: a producer that lost its broker may take long to end.
func (c *connection) abandon() {
	go func() {
		c.client.Close()
		c.producer.Close()
	}()
}

// firstDurable counts the records before the first that failed.
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
