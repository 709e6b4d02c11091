package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/backoff"
)

// Topic is the wanted configuration of a topic.
type Topic struct {
	Name       string
	Partitions int32
	// Compacted keeps the newest record of each key, instead of all records for a time.
	Compacted bool
}

// settings are the topic's own, above the broker's defaults. Records have the time at which the broker took them: it refuses a
// record whose producer's clock is ahead, and deletes one at once whose producer's clock is far behind, where they carry the
// producer's time.
func (t Topic) settings() map[string]string {
	s := map[string]string{"message.timestamp.type": "LogAppendTime"}
	if t.Compacted {
		s["cleanup.policy"] = "compact"
	}
	return s
}

// lookInterval is how often the topics are looked for.
const lookInterval = 4 * time.Second

// Keeper makes topics that do not exist, also those that vanish later, and gives them their settings.
type Keeper struct {
	Broker Broker
	Topics []Topic
	// Healthy is called after each look at the topics: with nil when all exist, else with the reason.
	Healthy func(error)
	Log     *slog.Logger

	// looking is held by a look, which may outlast the wait for it.
	looking sync.Mutex
	// set holds, by name, the id of the topic that was given its settings, refused whether a topic's settings were refused.
	set     map[string]string
	refused bool
}

// Run keeps the topics until ctx is done. It retries with backoff until all exist, and then looks for them at intervals.
func (k *Keeper) Run(ctx context.Context) error { return k.repeat(ctx, k.look) }

func (k *Keeper) repeat(ctx context.Context, look func(context.Context) error) error {
	retry := backoff.Retry{Work: "creation of the Kafka topics", Log: k.Log, Backoff: backoff.Backoff{Max: 3 * time.Second}}
	tick := time.Tick(lookInterval)
	for {
		if err := answered(ctx, func() error { return look(ctx) }); err != nil {
			if ctx.Err() == nil {
				k.Healthy(err)
			}
			if retry.Failed(ctx, err) != nil {
				return nil
			}
			continue
		}
		retry.Succeeded(ctx)
		k.Healthy(nil)
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

func (k *Keeper) look(ctx context.Context) error {
	k.looking.Lock()
	defer k.looking.Unlock()
	client, err := sarama.NewClient(k.Broker.Addresses, k.Broker.config())
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(k.Broker.Addresses, ","), err)
	}
	defer client.Close()
	if k.Broker.StandIn {
		// A request for its metadata creates a topic.
		for _, t := range k.Topics {
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
	for _, t := range k.Topics {
		id := func() (string, error) { return k.Broker.topicID(client, t.Name) }
		if err := k.keep(ctx, admin, id, t); err != nil {
			return fmt.Errorf("topic %s: %w", t.Name, err)
		}
	}
	return nil
}

// keep makes a topic if it does not exist, and gives it its settings once; ask returns the topic's id.
func (k *Keeper) keep(ctx context.Context, admin sarama.ClusterAdmin, ask func() (string, error), t Topic) error {
	id, err := ask()
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		// -1 selects the broker's default.
		detail := &sarama.TopicDetail{NumPartitions: t.Partitions, ReplicationFactor: -1, ConfigEntries: map[string]*string{}}
		for name, value := range t.settings() {
			detail.ConfigEntries[name] = &value
		}
		err = admin.CreateTopic(t.Name, detail, false)
		if err == nil {
			if _, before := k.set[t.Name]; before {
				k.Log.WarnContext(ctx, "a topic has vanished and was made again", "topic", t.Name)
			}
			return nil
		}
		if !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return err
		}
		id, err = ask()
	}
	if err != nil {
		return err
	}
	if known, before := k.set[t.Name]; before && known == id {
		return nil
	}
	k.give(ctx, admin, t)
	if k.set == nil {
		k.set = map[string]string{}
	}
	k.set[t.Name] = id
	return nil
}

// give gives a topic its settings. A cluster may not let us: its operator has to then, and all works as far as producers'
// clocks are right.
func (k *Keeper) give(ctx context.Context, admin sarama.ClusterAdmin, t Topic) {
	entries := map[string]sarama.IncrementalAlterConfigsEntry{}
	for name, value := range t.settings() {
		entries[name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
	}
	err := admin.IncrementalAlterConfig(sarama.TopicResource, t.Name, entries, false)
	if err != nil && !k.refused {
		k.refused = true
		k.Log.WarnContext(ctx, "a topic could not be given its settings; they are for the cluster's operator", "topic", t.Name,
			"settings", t.settings(), "error", err)
	}
}

// topicID returns the id of a topic, which no other topic ever has, also none of the same name; "" where the broker tells none.
func (b Broker) topicID(client sarama.Client, topic string) (string, error) {
	broker := client.LeastLoadedBroker()
	if broker == nil {
		return "", sarama.ErrBrokerNotAvailable
	}
	response, err := broker.GetMetadata(sarama.NewMetadataRequest(client.Config().Version, []string{topic}))
	if err != nil {
		return "", fmt.Errorf("metadata of topic %s: %w", topic, err)
	}
	return idOf(response, topic)
}

// still returns an error unless a topic has this id.
func (b Broker) still(client sarama.Client, topic, id string) error {
	now, err := b.topicID(client, topic)
	if err == nil && now != id {
		return errOtherTopic
	}
	return err
}

func idOf(response *sarama.MetadataResponse, topic string) (string, error) {
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
