package grpcapi

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// encoded is a message that is encoded already. It may be sent to many streams.
type encoded []byte

// codec is gRPC's own for protobuf, which also sends what is encoded already, and decodes of a list that is too long only as much as
// it takes to see that.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// Marshal returns the bytes of a message.
func (c codec) Marshal(message any) (mem.BufferSlice, error) {
	if m, ok := message.(encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(m)}, nil
	}
	return c.CodecV2.Marshal(message)
}

// Unmarshal reads a message.
func (c codec) Unmarshal(data mem.BufferSlice, message any) error {
	if m, ok := message.(proto.Message); ok {
		if l, ok := listed[m.ProtoReflect().Descriptor().FullName()]; ok {
			whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
			defer whole.Free()
			return proto.Unmarshal(l.cut(whole.ReadOnlyData()), m)
		}
	}
	return c.CodecV2.Unmarshal(data, message)
}
