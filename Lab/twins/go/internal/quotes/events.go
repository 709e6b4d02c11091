package quotes

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"google.golang.org/protobuf/proto"

	pricingv1 "hybrid/control-plane/gen/hybrid/pricing/v1"
	usagev1 "hybrid/control-plane/gen/hybrid/usage/v1"
	"hybrid/twins/internal/cloudevent"
)

const (
	eventType = "hybrid.pricing.quote.priced.v1"
	// waiting is how many events may wait for Kafka.
	waiting = 1 << 16
	linger  = 5 * time.Millisecond
	retries = 100
)

// Events reports priced quotes to Kafka, one record a quote, and never waits for it: what finds no room, or cannot be delivered,
// is lost and counted. Its methods are safe to call from any goroutine, but for Close.
type Events struct {
	producer     sarama.AsyncProducer
	topic        string
	nodeID       string
	source       string
	shed, failed atomic.Int64
	log          *slog.Logger
	drained      chan struct{}
}

// OpenEvents connects to the brokers, one of which must answer.
func OpenEvents(brokers []string, topic, nodeID string, log *slog.Logger) (*Events, error) {
	config := sarama.NewConfig()
	config.ClientID = nodeID
	config.ChannelBufferSize = waiting
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Flush.Frequency = linger
	config.Producer.Retry.Max = retries
	config.Net.MaxOpenRequests = 1
	config.Metadata.AllowAutoTopicCreation = true
	producer, err := sarama.NewAsyncProducer(brokers, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka: %w", err)
	}
	e := &Events{
		producer: producer, topic: topic, nodeID: nodeID, source: "/hybrid/data-plane/" + nodeID, log: log, drained: make(chan struct{}),
	}
	go e.countFailures()
	return e, nil
}

// Publish hands over the event of a quote.
func (e *Events) Publish(quote *pricingv1.QuoteResponse, t trace) error {
	value, err := proto.Marshal(&usagev1.QuotePriced{NodeId: e.nodeID, Quote: quote})
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	event := cloudevent.Event{
		ID: quote.GetQuoteId(), Source: e.source, Type: eventType, Time: quote.GetPricedAt().AsTime(),
		Traceparent: t.parent, Tracestate: t.state,
	}
	message := &sarama.ProducerMessage{
		Topic: e.topic, Key: sarama.StringEncoder(quote.GetQuoteId()), Value: sarama.ByteEncoder(value), Headers: event.Headers(),
	}
	select {
	case e.producer.Input() <- message:
	default:
		if e.shed.Add(1) == 1 {
			e.log.Error("events are lost: too many wait for Kafka")
		}
	}
	return nil
}

// Close waits until all events are delivered or have failed.
func (e *Events) Close() {
	e.producer.AsyncClose()
	<-e.drained
	if shed, failed := e.shed.Load(), e.failed.Load(); shed+failed > 0 {
		e.log.Error("events were lost", "shed", shed, "failed", failed)
	}
}

func (e *Events) countFailures() {
	defer close(e.drained)
	for failure := range e.producer.Errors() {
		if e.failed.Add(1) == 1 {
			e.log.Error("an event was not delivered", "error", failure.Err)
		}
	}
}
