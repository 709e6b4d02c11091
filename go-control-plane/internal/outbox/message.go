// Package outbox publishes committed messages: each is written in the transaction that causes it, and a relay publishes them
// in order. Every committed message is published at least once; after a crash some may be published twice, with the same ids.
package outbox

// Header is a header of a message.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Message is a record for Kafka.
type Message struct {
	Topic string
	Key   []byte
	// Value is nil for a tombstone.
	Value   []byte
	Headers []Header
}

// Pending is a committed message that is not marked as published yet.
type Pending struct {
	// ID increases in commit order.
	ID int64
	Message
}
