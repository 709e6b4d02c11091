//go:build unix

package kafka

import (
	"testing"

	"github.com/IBM/sarama"

	"hybrid/control-plane/internal/kafkatest"
	"hybrid/control-plane/internal/outbox"
)

// The lag is 0 when all is booked, although the markers of transactions, and records of aborted ones, take offsets too.
func TestTheLagReachesZero(t *testing.T) {
	server := kafkatest.Start(t)
	broker := Broker{Addresses: []string{server.Address}}
	ensure(t, broker, Topic{Name: "usage", Partitions: 2})
	producer := NewFencedProducer(broker, "metering")
	defer producer.Close()
	send := func() {
		t.Helper()
		if err := producer.Claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		var messages []outbox.Message
		for n := range 20 {
			messages = append(messages, outbox.Message{Topic: "usage", Key: []byte{byte(n)}, Value: []byte("EUR")})
		}
		if _, err := producer.Publish(t.Context(), messages); err != nil {
			t.Fatal(err)
		}
	}
	send()
	// What this one sends is aborted by the next claim.
	aborted, err := connect(broker, "metering")
	if err != nil {
		t.Fatal(err)
	}
	if err := aborted.producer.BeginTxn(); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if _, _, err := aborted.producer.SendMessage(&sarama.ProducerMessage{Topic: "usage", Key: sarama.ByteEncoder{byte(n)}, Value: sarama.StringEncoder("USD")}); err != nil {
			t.Fatal(err)
		}
	}
	aborted.abandon()

	f := newFaulty()
	u := consumer(nil, nil)
	u.Broker, u.Book = broker, f
	// Nothing says so until the lag is measured.
	u.lag.Store(-1)
	running(t, u)
	f.wait(t, "the first records are booked", func() bool { return u.Stats().Records == 20 })
	if err := producer.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wait(t, "the lag is 0", func() bool { return u.Stats().Lag == 0 })
	if n := f.values["USD"]; n != 0 {
		t.Errorf("%d records of an aborted transaction are booked", n)
	}
	send()
	f.wait(t, "the next records are booked, and the lag is 0", func() bool { return u.Stats().Records == 40 && u.Stats().Lag == 0 })
}
