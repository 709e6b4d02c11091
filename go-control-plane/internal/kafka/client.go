// Package kafka talks to the broker: it makes the topics, publishes the outbox, and consumes usage.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/backoff"
)

// Broker is where Kafka is, and what it can do.
type Broker struct {
	Addresses []string
	// StandIn is true for the in-memory mock cluster: an old protocol, and topics that appear by themselves.
	StandIn bool
}

func (b Broker) config() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "control-plane"
	c.Version = sarama.V2_8_0_0
	if b.StandIn {
		c.Version = sarama.V2_1_0_0
		c.ApiVersionsRequest = false
	}
	c.Net.DialTimeout = 3 * time.Second
	c.Net.ReadTimeout = 10 * time.Second
	c.Net.WriteTimeout = 10 * time.Second
	c.Metadata.Retry.Max = 1
	c.Metadata.RefreshFrequency = time.Minute
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Producer.Retry.Max = 5
	c.Net.MaxOpenRequests = 1
	// The library retries by itself. Its channel of errors may be written to while it is closed, so it stays unused.
	c.Consumer.Return.Errors = false
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	c.Consumer.Retry.Backoff = 500 * time.Millisecond
	c.Consumer.MaxWaitTime = 500 * time.Millisecond
	return c
}

// Topic is a topic as it should be.
type Topic struct {
	Name       string
	Partitions int32
	Compacted  bool
}

// EnsureTopics makes the topics that do not exist, retrying with backoff until they do or ctx is done.
func (b Broker) EnsureTopics(ctx context.Context, topics []Topic, log *slog.Logger, waiting func(reason string)) error {
	pace := backoff.Backoff{Max: 3 * time.Second}
	for {
		err := b.ensureTopics(topics)
		if err == nil {
			return nil
		}
		waiting(err.Error())
		log.DebugContext(ctx, "kafka is not ready", "error", err)
		if err := pace.Wait(ctx); err != nil {
			return err
		}
	}
}

func (b Broker) ensureTopics(topics []Topic) error {
	client, err := sarama.NewClient(b.Addresses, b.config())
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(b.Addresses, ","), err)
	}
	defer client.Close()
	if b.StandIn {
		// Asking for its metadata makes a topic appear.
		for _, t := range topics {
			if _, err := client.Partitions(t.Name); err != nil {
				return fmt.Errorf("topic %s: %w", t.Name, err)
			}
		}
		return nil
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	for _, t := range topics {
		// The broker's own default decides the replication.
		detail := &sarama.TopicDetail{NumPartitions: t.Partitions, ReplicationFactor: -1}
		if t.Compacted {
			compact := "compact"
			detail.ConfigEntries = map[string]*string{"cleanup.policy": &compact}
		}
		if err := admin.CreateTopic(t.Name, detail, false); err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("topic %s: %w", t.Name, err)
		}
	}
	return nil
}
