// Package cloudevent has the headers of events: CloudEvents 1.0 in binary mode, with W3C trace context.
package cloudevent

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/IBM/sarama"
)

// Event is what the headers of a record say. Its data is a protobuf message.
type Event struct {
	ID, Source, Type string
	Time             time.Time
	Traceparent      string
	// Tracestate is empty if there is none.
	Tracestate string
}

// Headers returns the headers of the event's record.
func (e Event) Headers() []sarama.RecordHeader {
	headers := make([]sarama.RecordHeader, 0, 8)
	add := func(name, value string) {
		headers = append(headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	add("ce_specversion", "1.0")
	add("ce_id", e.ID)
	add("ce_source", e.Source)
	add("ce_type", e.Type)
	add("ce_time", e.Time.UTC().Format(time.RFC3339Nano))
	add("content-type", "application/protobuf")
	add("traceparent", e.Traceparent)
	if e.Tracestate != "" {
		add("tracestate", e.Tracestate)
	}
	return headers
}

// NewTraceparent returns the beginning of a trace that is not sampled.
func NewTraceparent() string {
	var ids [24]byte
	rand.Read(ids[:])
	return "00-" + hex.EncodeToString(ids[:16]) + "-" + hex.EncodeToString(ids[16:]) + "-00"
}
