// Package kafka creates the topics, publishes the outbox and consumes usage.
package kafka

import (
	"time"

	"github.com/IBM/sarama"
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
	// Only the keeper makes topics, with their partitions and settings. The stand-in makes them when they are asked for.
	c.Metadata.AllowAutoTopicCreation = b.StandIn
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
