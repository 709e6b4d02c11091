package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/backoff"
)

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

// topicID returns the id of a topic, which no other topic ever has, also none of the same name; "" where the broker tells none.
func (b Broker) topicID(client sarama.Client, topic string) (string, error) {
	broker := client.LeastLoadedBroker()
	if broker == nil {
		return "", sarama.ErrBrokerNotAvailable
	}
	response, err := broker.GetMetadata(sarama.NewMetadataRequest(client.Config().Version, []string{topic}))
	if err != nil {
		// The next request opens another connection.
		broker.Close()
		return "", fmt.Errorf("metadata of topic %s: %w", topic, err)
	}
	for _, t := range response.Topics {
		if t.Name != topic {
			continue
		}
		if t.Err != sarama.ErrNoError {
			return "", fmt.Errorf("topic %s: %w", topic, t.Err)
		}
		if t.Uuid == (sarama.Uuid{}) {
			return "", nil
		}
		return base64.RawURLEncoding.EncodeToString(t.Uuid[:]), nil
	}
	return "", fmt.Errorf("topic %s: %w", topic, sarama.ErrUnknownTopicOrPartition)
}
