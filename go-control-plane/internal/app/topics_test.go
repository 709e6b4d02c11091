//go:build unix

package app

import (
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	"hybrid/control-plane/internal/config"
	"hybrid/control-plane/internal/contract"
	"hybrid/control-plane/internal/kafkatest"
	"hybrid/control-plane/internal/postgrestest"
	"hybrid/control-plane/internal/readiness"
)

// Topics that vanish while the control plane runs are made again, with their settings, and all work goes on.
func TestVanishedTopicsAreMadeAgain(t *testing.T) {
	broker := kafkatest.Start(t)
	r := run(t, config.Config{Postgres: postgrestest.Database(t), Kafka: []string{broker.Address}})
	eventually(t, "ready", func() bool { return r.ready(t) })
	admin, err := sarama.NewClusterAdmin([]string{broker.Address}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, topic := range topics {
		if err := admin.DeleteTopic(topic.Name); err != nil {
			t.Fatal(err)
		}
	}
	items := catalogv1.NewCatalogServiceClient(r.conn)
	if _, err := items.CreateItem(t.Context(), &catalogv1.CreateItemRequest{Item: item("mug", 1050)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topics are made again", func() bool {
		there, err := admin.ListTopics()
		for _, topic := range topics {
			detail, ok := there[topic.Name]
			if err != nil || !ok || detail.NumPartitions != topic.Partitions {
				return false
			}
			compacted := detail.ConfigEntries["cleanup.policy"]
			if topic.Compacted != (compacted != nil && *compacted == "compact") {
				return false
			}
		}
		return true
	})
	if m := consume(t, broker, contract.CatalogTopic, 1)[0]; string(m.Key) != "item/mug" {
		t.Errorf("published %s", m.Key)
	}
	produce(t, broker, 2, usage(t, 100))
	eventually(t, "usage is booked", func() bool { return r.plane.usage.Stats().Records == 1 })
	produce(t, broker, 2, []byte("\xff\xff no usage"))
	consume(t, broker, contract.UsageTopic+contract.DeadLetterSuffix, 1)
	eventually(t, "it is ready without reserve", func() bool {
		report := r.report(t)
		if report.Status != readiness.Ready {
			return false
		}
		for _, task := range report.Tasks {
			if task.Detail != "" {
				return false
			}
		}
		return true
	})
}

// A broker that stands still, with all its connections open, is told within ten seconds by each part that needs it, in one line
// each, and all go on by themselves when it does.
func TestAPausedBrokerIsTold(t *testing.T) {
	broker := kafkatest.Start(t)
	r := run(t, config.Config{Postgres: postgrestest.Database(t), Kafka: []string{broker.Address}})
	eventually(t, "ready", func() bool { return r.ready(t) })
	items := catalogv1.NewCatalogServiceClient(r.conn)
	create := func(sku string) {
		t.Helper()
		if _, err := items.CreateItem(t.Context(), &catalogv1.CreateItemRequest{Item: item(sku, 1050)}); err != nil {
			t.Fatal(err)
		}
	}
	create("mug")
	consume(t, broker, contract.CatalogTopic, 1)
	broker.Pause()
	paused := time.Now()
	create("pen")
	eventually(t, "all is told, and it serves", func() bool {
		report := r.report(t)
		var still []string
		for _, task := range report.Tasks {
			if task.Status == readiness.Pending {
				still = append(still, task.Name)
			}
		}
		return report.Status == readiness.Degraded && slices.Equal(still, []string{taskTopics, taskRelay, taskLedger}) && r.ready(t)
	})
	if took := time.Since(paused); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	broker.Resume()
	eventually(t, "all goes on", func() bool { return r.report(t).Status == readiness.Ready && r.plane.relay.Lag() == 0 })
	for _, line := range []string{"outbox relay failed", "creation of the Kafka topics failed", "usage consumption failed"} {
		if n := r.lines.count(line); n != 1 {
			t.Errorf("%d lines: %s", n, line)
		}
	}
}
