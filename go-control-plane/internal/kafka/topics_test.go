//go:build unix

package kafka

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/kafkatest"
)

// ensure waits until the topics exist.
func ensure(t *testing.T, broker Broker, topics ...Topic) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	there := false
	k := &Keeper{Broker: broker, Topics: topics, Log: slog.New(slog.DiscardHandler), Healthy: func(err error) {
		if err != nil {
			t.Log(err)
			return
		}
		there = true
		cancel()
	}}
	if err := k.Run(ctx); err != nil || !there {
		t.Fatalf("the topics are not there: %v", err)
	}
}

// Records are taken and kept whatever the clock of their producer says, also in a topic that somebody else has made.
func TestRecordsHaveTheBrokersTime(t *testing.T) {
	server := kafkatest.Start(t)
	broker := Broker{Addresses: []string{server.Address}}
	admin, err := sarama.NewClusterAdmin(broker.Addresses, broker.config())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.CreateTopic("theirs", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
	ensure(t, broker, Topic{Name: "theirs", Partitions: 1}, Topic{Name: "ours", Partitions: 1, Compacted: true})
	producer, err := sarama.NewSyncProducer(broker.Addresses, broker.config())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	consumer, err := sarama.NewConsumer(broker.Addresses, broker.config())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	for _, topic := range []string{"theirs", "ours"} {
		records, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		for _, clock := range []time.Duration{-30 * 24 * time.Hour, 30 * 24 * time.Hour} {
			sent := time.Now().Truncate(time.Millisecond)
			_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder("key"), Timestamp: sent.Add(clock)})
			if err != nil {
				t.Errorf("%s, a clock that is off by %v: %v", topic, clock, err)
				continue
			}
			if m := <-records.Messages(); m.Timestamp.Before(sent) || m.Timestamp.After(time.Now()) {
				t.Errorf("%s, a clock that is off by %v: the record is of %v", topic, clock, m.Timestamp)
			}
		}
	}
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: "ours", ConfigNames: []string{"cleanup.policy"}})
	if err != nil || len(entries) != 1 || entries[0].Value != "compact" {
		t.Errorf("cleanup.policy: %v, %v", entries, err)
	}
}
