// Package kafka creates the topics, publishes the outbox and consumes usage.
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

// Broker is a Kafka cluster.
type Broker struct {
	// Addresses are the bootstrap servers, host:port each.
	Addresses []string
	// StandIn is true for librdkafka's in-memory mock cluster, which speaks an old version of the protocol and creates
	// topics on first use.
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
	// The library retries by itself. It may write to its error channel after closing it, so the channel stays unused.
	c.Consumer.Return.Errors = false
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	c.Consumer.Retry.Backoff = 500 * time.Millisecond
	c.Consumer.MaxWaitTime = 500 * time.Millisecond
	return c
}

// Topic is the wanted configuration of a topic.
type Topic struct {
	Name       string
	Partitions int32
	Compacted  bool
}

// EnsureTopics creates the topics that do not exist. It retries with backoff until all exist, and calls waiting with the
// reason after each failure; it fails only with the error of ctx.
func (b Broker) EnsureTopics(ctx context.Context, topics []Topic, log *slog.Logger, waiting func(reason string)) error {
	retry := backoff.Retry{Work: "creation of the Kafka topics", Log: log, Backoff: backoff.Backoff{Max: 3 * time.Second}}
	for {
		err := b.ensureTopics(topics)
		if err == nil {
			retry.Succeeded(ctx)
			return nil
		}
		waiting(err.Error())
		if err := retry.Failed(ctx, err); err != nil {
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
		// A request for its metadata creates a topic.
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
		// -1 selects the broker's default.
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
