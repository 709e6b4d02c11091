// Package outbox publishes what was committed: records are written in the transaction that causes them, and a relay, of
// which one runs at a time, sends them in order. Nothing committed stays unpublished; a crash may publish some twice, with
// the same ids.
package outbox

// Header is a name and value beside a record.
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

// Pending is a message that was committed and not yet marked as published.
type Pending struct {
	// ID is in commit order.
	ID int64
	Message
}
