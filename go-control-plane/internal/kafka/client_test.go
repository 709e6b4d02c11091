package kafka

import (
	"testing"

	"github.com/IBM/sarama"
)

// Only the keeper makes topics, but for the stand-in, which makes them itself and speaks an old version of the protocol.
// Everywhere only what is committed is read, and what is published is neither lost nor doubled.
func TestWhatABrokerIsAskedFor(t *testing.T) {
	for _, standIn := range []bool{false, true} {
		c := Broker{StandIn: standIn}.config()
		if c.Metadata.AllowAutoTopicCreation != standIn || c.ApiVersionsRequest == standIn || c.Version.IsAtLeast(sarama.V2_8_0_0) == standIn {
			t.Errorf("stand-in %t: makes topics %t, asks for versions %t, speaks %v", standIn, c.Metadata.AllowAutoTopicCreation, c.ApiVersionsRequest, c.Version)
		}
		if c.Consumer.IsolationLevel != sarama.ReadCommitted || c.Producer.RequiredAcks != sarama.WaitForAll || !c.Producer.Idempotent {
			t.Errorf("stand-in %t: isolation %v, acknowledged by %v, idempotent %t", standIn, c.Consumer.IsolationLevel, c.Producer.RequiredAcks, c.Producer.Idempotent)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("stand-in %t: %v", standIn, err)
		}
	}
}
