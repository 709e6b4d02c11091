package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/outbox"
)

// publishTimeout limits a call of Publish, including the retries of the library.
const publishTimeout = 8 * time.Second

// settling is how often it is asked whether the transaction before has its markers; they take a few milliseconds.
const settling = 10 * time.Millisecond

var errUnclaimed = errors.New("kafka: publishing needs a claim first")

// Producer publishes messages with the acknowledgement of all in-sync replicas. It reconnects after every failure, because the
// library's idempotent producer does not recover reliably.
type Producer struct {
	broker Broker
	// place is the transactional id, whose newest epoch is the only one that the broker takes records of; "" without one.
	place string

	mu      sync.Mutex
	current *connection
}

// connection is a producer and its client.
type connection struct {
	client   sarama.Client
	producer sarama.SyncProducer
}

// NewProducer returns a producer that connects on first use, and needs no claim.
func NewProducer(broker Broker) *Producer { return &Producer{broker: broker} }

// NewFencedProducer returns a producer that shares a place with all others of this name: see outbox.Publisher. It publishes
// in transactions, so all of a call's messages become visible or none. The stand-in does not fence.
func NewFencedProducer(broker Broker, place string) *Producer {
	if broker.StandIn {
		place = ""
	}
	return &Producer{broker: broker, place: place}
}

var _ outbox.Publisher = (*Producer)(nil)

// Claim implements outbox.Publisher. Without a place there is nothing to claim.
func (p *Producer) Claim(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.place == "" {
		return nil
	}
	p.abandon()
	claimed, err := within(ctx, publishTimeout, func() (*connection, error) { return connect(p.broker, p.place) }, (*connection).abandon)
	if err != nil {
		return err
	}
	p.current = claimed
	return nil
}

// Publish implements outbox.Publisher. It returns when ctx is done or publishTimeout has passed, even if the library does not.
func (p *Producer) Publish(ctx context.Context, messages []outbox.Message) (published int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if p.current == nil && p.place != "" {
		return 0, errUnclaimed
	}
	if p.current == nil {
		if p.current, err = connect(p.broker, ""); err != nil {
			return 0, err
		}
	}
	records := make([]*sarama.ProducerMessage, len(messages))
	for i, m := range messages {
		records[i] = record(m)
	}
	current := p.current
	published, err = within(ctx, publishTimeout, func() (int, error) { return current.send(records) }, func(int) {})
	if err != nil {
		p.abandon()
	}
	return published, err
}

// Close ends the connection.
func (p *Producer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abandon()
}

func (p *Producer) abandon() {
	p.current.abandon()
	p.current = nil
}

// connect connects, and claims the place if there is one.
func connect(b Broker, place string) (*connection, error) {
	config := b.config()
	inTransactions(config, place)
	client, err := sarama.NewClient(b.Addresses, config)
	if err != nil {
		return nil, err
	}
	producer, err := settled(func() (sarama.SyncProducer, error) { return sarama.NewSyncProducerFromClient(client) })
	if err != nil {
		client.Close()
		return nil, err
	}
	return &connection{client, producer}, nil
}

// inTransactions makes a producer one of the place, if there is one. A transaction outlasts the call of Publish that it is for,
// but not by much: what comes after it is held back from readers until it ends.
func inTransactions(config *sarama.Config, place string) {
	if place == "" {
		return
	}
	config.Producer.Transaction.ID = place
	config.Producer.Transaction.Timeout = 2 * publishTimeout
	config.Producer.Transaction.Retry.Backoff = settling
}

// settled returns what open returns, once the broker has ended the transaction of the one before; it waits for that as long as
// publishTimeout.
func settled[T any](open func() (T, error)) (T, error) {
	for ending := time.Now().Add(publishTimeout); ; time.Sleep(settling) {
		opened, err := open()
		if !errors.Is(err, sarama.ErrConcurrentTransactions) || time.Now().After(ending) {
			return opened, err
		}
	}
}

// send sends records, in a transaction if the producer has transactions, and returns the number of leading ones that are durable.
func (c *connection) send(records []*sarama.ProducerMessage) (int, error) {
	if !c.producer.IsTransactional() {
		if err := c.producer.SendMessages(records); err != nil {
			return firstDurable(records, err)
		}
		return len(records), nil
	}
	// A transaction that fails is aborted by the next claim.
	if err := c.producer.BeginTxn(); err != nil {
		return 0, fenced(err)
	}
	if err := c.producer.SendMessages(records); err != nil {
		_, err = firstDurable(records, err)
		return 0, fenced(err)
	}
	if err := c.producer.CommitTxn(); err != nil {
		return 0, fenced(err)
	}
	return len(records), nil
}

// fenced makes an error that says that another producer has the place an outbox.ErrFenced.
func fenced(err error) error {
	if errors.Is(err, sarama.ErrProducerFenced) || errors.Is(err, sarama.ErrInvalidProducerEpoch) {
		return fmt.Errorf("%w: %w", outbox.ErrFenced, err)
	}
	return err
}

// abandon closes the client first, so that no message of this producer is sent after those of its successor. It does not wait,
// because a producer that has lost its broker may take long to close. Without a connection there is nothing to do.
func (c *connection) abandon() {
	if c == nil {
		return
	}
	go func() {
		c.client.Close()
		c.producer.Close()
	}()
}

// firstDurable returns the number of records before the first one that failed, and why that one did.
func firstDurable(records []*sarama.ProducerMessage, err error) (int, error) {
	var failures sarama.ProducerErrors
	errors.As(err, &failures)
	failed := map[*sarama.ProducerMessage]error{}
	for _, f := range failures {
		failed[f.Msg] = f
	}
	for n, r := range records {
		if reason := failed[r]; reason != nil {
			return n, reason
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
