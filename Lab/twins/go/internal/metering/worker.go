package metering

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/IBM/sarama"
)

const (
	// A batch is committed when it has this many records, or is this old.
	maxRecords = 10_000
	maxAge     = 200 * time.Millisecond
	backoff    = time.Second
)

// Config is what a worker reads and writes.
type Config struct {
	Brokers                 []string
	Node, Group             string
	QuotesTopic, UsageTopic string
}

// DeadLetterTopic returns where records go that cannot be read.
func (c Config) DeadLetterTopic() string { return c.QuotesTopic + ".dead-letter" }

// Run is a member of the consumer group until the context ends. What fails is tried again.
func Run(ctx context.Context, c Config, log *slog.Logger) error {
	config := sarama.NewConfig()
	config.ClientID = c.Group + "-" + c.Node
	config.Consumer.Return.Errors = true
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	client, err := sarama.NewClient(c.Brokers, config)
	if err != nil {
		return fmt.Errorf("connect to Kafka: %w", err)
	}
	group, err := sarama.NewConsumerGroupFromClient(c.Group, client)
	if err != nil {
		return errors.Join(fmt.Errorf("make a member of the group: %w", err), client.Close())
	}
	go func() {
		for err := range group.Errors() {
			log.Warn("consuming failed; continuing", "error", err)
		}
	}()
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{c.QuotesTopic}, &worker{c, log}); err != nil {
			log.Warn("no session of the consumer group", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(backoff)):
		}
	}
	return errors.Join(group.Close(), client.Close())
}

// worker handles each partition on a goroutine, with a producer of its own.
type worker struct {
	config Config
	log    *slog.Logger
}

func (*worker) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*worker) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim works until the session ends. After a failure it ends the session, and the next one reads on from what was committed.
func (w *worker) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	if err := w.consume(session, claim); err != nil {
		w.log.Warn("a partition is read again", "partition", claim.Partition(), "error", err)
	}
	return nil
}

func (w *worker) consume(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	producer, err := w.producer(claim.Partition())
	if err != nil {
		return err
	}
	defer producer.Close()
	// Whoever owned the partition before is fenced now. What it had committed until then may be more than this claim begins with.
	next, err := w.committed(claim.Partition())
	if err != nil {
		return err
	}
	b := newBatch()
	age := time.NewTimer(maxAge)
	defer age.Stop()
	commit := func() error {
		if err := w.commit(producer, claim.Partition(), b); err != nil {
			return err
		}
		b = newBatch()
		return nil
	}
	for {
		select {
		case <-session.Context().Done():
			return nil
		case <-age.C:
			if b.records > 0 {
				if err := commit(); err != nil {
					return err
				}
			}
		case message, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			if message.Offset < next {
				continue
			}
			if b.records == 0 {
				age.Reset(maxAge)
			}
			b.add(message)
			if b.records >= maxRecords {
				if err := commit(); err != nil {
					return err
				}
			}
		}
	}
}

// producer returns a producer of which there is one for each partition: its transactional id fences its predecessor.
func (w *worker) producer(partition int32) (sarama.SyncProducer, error) {
	config := sarama.NewConfig()
	config.ClientID = w.config.Group + "-" + w.config.Node
	config.Net.MaxOpenRequests = 1
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Transaction.ID = fmt.Sprintf("%s-%s-%d", w.config.Group, w.config.QuotesTopic, partition)
	producer, err := sarama.NewSyncProducer(w.config.Brokers, config)
	if err != nil {
		return nil, fmt.Errorf("make the producer of partition %d: %w", partition, err)
	}
	return producer, nil
}

// committed returns the offset that the group has committed, -1 if it has none.
func (w *worker) committed(partition int32) (int64, error) {
	admin, err := sarama.NewClusterAdmin(w.config.Brokers, sarama.NewConfig())
	if err != nil {
		return 0, fmt.Errorf("connect to Kafka: %w", err)
	}
	defer admin.Close()
	offsets, err := admin.ListConsumerGroupOffsets(w.config.Group, map[string][]int32{w.config.QuotesTopic: {partition}})
	if err != nil {
		return 0, fmt.Errorf("read the committed offset of partition %d: %w", partition, err)
	}
	block := offsets.GetBlock(w.config.QuotesTopic, partition)
	if block == nil {
		return -1, nil
	}
	if !errors.Is(block.Err, sarama.ErrNoError) {
		return 0, fmt.Errorf("read the committed offset of partition %d: %w", partition, block.Err)
	}
	return block.Offset, nil
}

// commit produces what has become of a batch, and commits its offset, in one transaction.
func (w *worker) commit(producer sarama.SyncProducer, partition int32, b *batch) error {
	messages := make([]*sarama.ProducerMessage, 0, len(b.dead))
	for _, d := range b.dead {
		messages = append(messages, deadLetter(w.config.DeadLetterTopic(), d.message, d.reason))
	}
	for _, record := range b.windows.take() {
		message, err := usageRecord(w.config.UsageTopic, "/hybrid/"+w.config.Group+"-"+w.config.Node, record)
		if err != nil {
			return err
		}
		messages = append(messages, message)
	}
	if err := producer.BeginTxn(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	offsets := map[string][]*sarama.PartitionOffsetMetadata{w.config.QuotesTopic: {{Partition: partition, Offset: b.next}}}
	err := producer.SendMessages(messages)
	if err == nil {
		err = producer.AddOffsetsToTxn(offsets, w.config.Group)
	}
	if err == nil {
		err = producer.CommitTxn()
	}
	if err == nil {
		return nil
	}
	// A producer that cannot abort is fenced by its successor, which does it.
	if producer.TxnStatus()&sarama.ProducerTxnFlagAbortableError != 0 || producer.TxnStatus()&sarama.ProducerTxnFlagInTransaction != 0 {
		err = errors.Join(err, producer.AbortTxn())
	}
	return fmt.Errorf("a transaction of %d records: %w", b.records, err)
}

// batch is what a transaction is made of.
type batch struct {
	windows *windows
	dead    []dead
	records int
	// next is the offset after the last record.
	next int64
}

type dead struct {
	message *sarama.ConsumerMessage
	reason  error
}

func newBatch() *batch { return &batch{windows: newWindows()} }

func (b *batch) add(m *sarama.ConsumerMessage) {
	b.records++
	b.next = m.Offset + 1
	quotes, err := read(m)
	if err != nil {
		b.dead = append(b.dead, dead{m, err})
		return
	}
	for _, quote := range quotes {
		b.windows.add(quote)
	}
}
