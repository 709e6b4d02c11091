package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"

	"hybrid/control-plane/internal/grpcapi"
)

// strictJSON is the protobuf JSON mapping. It writes fields with default values, refuses unknown fields, and accepts only a
// body that is exactly one JSON value.
type strictJSON struct {
	runtime.JSONPb
}

func newMarshaler() runtime.Marshaler {
	return &strictJSON{runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true}}}
}

// Marshal removes the spaces that protojson inserts at random.
func (m *strictJSON) Marshal(v any) ([]byte, error) {
	spaced, err := m.JSONPb.Marshal(v)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, spaced); err != nil {
		return nil, err
	}
	return append(compact.Bytes(), '\n'), nil
}

// NewDecoder reads the whole body, whose size guard has limited.
func (m *strictJSON) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		body, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return io.EOF
		}
		if err := checkJSON(body); err != nil {
			return err
		}
		if err := m.Unmarshal(cutLists(body, grpcapi.MaxKept), v); err != nil {
			return malformed(err)
		}
		return nil
	})
}

// malformed says what is wrong with a body, without the name of the library that found it.
func malformed(err error) error {
	return errors.New("the body is malformed: " + strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0"))
}
