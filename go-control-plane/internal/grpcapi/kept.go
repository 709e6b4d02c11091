package grpcapi

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	"hybrid/control-plane/internal/catalog"
)

// MaxKept is how many elements of a list in a request are decoded: one more than any list may have, so that the services still
// refuse it. An empty element has two bytes in a message and three in a document, and many times as many in memory.
const MaxKept = max(catalog.MaxBatch, catalog.MaxPromotionSKUs) + 1

// listed has the messages with lists that callers fill.
var listed = map[protoreflect.FullName]list{
	(&catalogv1.BatchCreateItemsRequest{}).ProtoReflect().Descriptor().FullName(): {field: 1},
	(&catalogv1.CreatePromotionRequest{}).ProtoReflect().Descriptor().FullName():  {in: 1, field: 5},
	(&catalogv1.UpdatePromotionRequest{}).ProtoReflect().Descriptor().FullName():  {in: 1, field: 5},
}

// list is a repeated field, in another field of the request if that is not 0.
type list struct{ in, field protowire.Number }

// cut returns the message without the elements of its list that are too many. What is malformed it leaves to the decoder, but for
// what is in the elements that it leaves out.
func (l list) cut(message []byte) []byte {
	if len(message) <= 2*MaxKept {
		return message
	}
	kept := 0
	return l.fields(message, l.in == 0, &kept)
}

// fields counts in kept across all occurrences of the field that the list is in: the decoder merges them.
func (l list) fields(message []byte, within bool, kept *int) []byte {
	out := make([]byte, 0, min(len(message), 64<<10))
	for rest := message; len(rest) > 0; {
		number, kind, tag := protowire.ConsumeTag(rest)
		if tag < 0 {
			return message
		}
		length := protowire.ConsumeFieldValue(number, kind, rest[tag:])
		if length < 0 {
			return message
		}
		field := rest[:tag+length]
		rest = rest[tag+length:]
		switch {
		case kind != protowire.BytesType:
		case within && number == l.field:
			if *kept++; *kept > MaxKept {
				continue
			}
		case !within && number == l.in:
			inner, _ := protowire.ConsumeBytes(field[tag:])
			field = protowire.AppendBytes(field[:tag:tag], l.fields(inner, true, kept))
		}
		out = append(out, field...)
	}
	return out
}
