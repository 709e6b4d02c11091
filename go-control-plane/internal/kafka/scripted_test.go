package kafka

import (
	"maps"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/goleak"
)

// script is what a broker says of the topic "usage", for what a real broker says too seldom to wait for it. It says nothing where
// it has no answer.
type script struct {
	id         sarama.Uuid
	partitions int32
	// headless is true for a cluster that has no controller at the moment.
	headless bool
	offsets  sarama.MockResponse
	fetches  sarama.MockResponse
	// more has answers to other requests.
	more map[string]sarama.MockResponse
}

// start starts a broker that follows the script, until the test ends.
func (s script) start(t *testing.T) Broker {
	t.Helper()
	b := silent(t)
	s.follow(t, b)
	return Broker{Addresses: []string{b.Addr()}}
}

// follow makes a broker follow the script from now on.
func (s script) follow(t *testing.T, b *sarama.MockBroker) {
	// Writing a response changes it, so each request gets one of its own.
	metadata := make([]any, 200)
	for n := range metadata {
		response := &sarama.MetadataResponse{Version: 10, ControllerID: 1}
		if s.headless {
			response.ControllerID = -1
		}
		response.AddBroker(b.Addr(), 1)
		response.AddTopic("usage", sarama.ErrNoError).Uuid = s.id
		for partition := range s.partitions {
			response.AddTopicPartition("usage", partition, 1, []int32{1}, []int32{1}, nil, sarama.ErrNoError)
		}
		metadata[n] = response
	}
	answers := map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t).SetApiKeys(nil),
		"MetadataRequest":    sarama.NewMockSequence(metadata...),
	}
	if s.offsets != nil {
		answers["OffsetRequest"] = s.offsets
	}
	if s.fetches != nil {
		answers["FetchRequest"] = s.fetches
	}
	maps.Copy(answers, s.more)
	b.SetHandlerByMap(answers)
}

// silent is a broker without a script.
func silent(t *testing.T) *sarama.MockBroker {
	t.Helper()
	b := sarama.NewMockBroker(t, 1)
	t.Cleanup(b.Close)
	// A fetch is answered at once, also when there is nothing: without this, one would follow on the other.
	b.SetLatency(time.Millisecond)
	return b
}

// client is a client of a broker, until the test ends.
func client(t *testing.T, broker Broker) sarama.Client {
	t.Helper()
	c, err := sarama.NewClient(broker.Addresses, broker.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// noLeak returns a check that nothing runs that does not run now. What a broker of these tests, or the library's metrics, run for
// as long as the process does is not counted.
func noLeak(t *testing.T) (check func()) {
	t.Helper()
	allowed := []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/IBM/sarama.(*MockBroker).serverLoop.func1"),
		goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
	}
	return func() {
		t.Helper()
		if err := goleak.Find(allowed...); err != nil {
			t.Error(err)
		}
	}
}
