package grpcgo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

const quotePath = "/hybrid.pricing.v1.PricingService/Quote"

// frames is a connection whose frames the test writes itself.
type frames struct {
	*http2.Framer
	conn net.Conn
}

// bare makes a connection that has sent nothing.
func bare(t *testing.T) frames {
	t.Helper()
	conn, err := net.Dial("tcp", given(t, quick))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.AllowIllegalWrites = true
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return frames{framer, conn}
}

// greeted has sent what every client begins with.
func greeted(t *testing.T) frames {
	t.Helper()
	f := bare(t)
	f.write(t, []byte(http2.ClientPreface))
	must(t, f.WriteSettings())
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write sends bytes as they are. A server that has closed the connection already may refuse them.
func (f frames) write(t *testing.T, data []byte) {
	t.Helper()
	if _, err := f.conn.Write(data); err != nil && !isReset(err) {
		t.Fatal(err)
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// head is the header block of a call, with more fields at its end.
func head(path string, more ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := append([]string{
		":method", "POST", ":scheme", "http", ":path", path, ":authority", "x", "te", "trailers", "content-type", "application/grpc",
	}, more...)
	for field := range slices.Chunk(fields, 2) {
		// A buffer takes everything.
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	return block.Bytes()
}

// call opens a call of Quote, and sends its body.
func (f frames) call(t *testing.T, id uint32, body []byte, more ...string) {
	t.Helper()
	must(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head(quotePath, more...), EndHeaders: true}))
	must(t, f.WriteData(id, true, body))
}

// status reads until a call has ended, and returns its status. One that is reset has none, but the code of HTTP/2.
func (f frames) status(t *testing.T, id uint32) string {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		must(t, err)
		if frame.Header().StreamID != id {
			continue
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == "grpc-status" {
					return field.Value
				}
			}
			if frame.StreamEnded() {
				return "HTTP " + frame.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			return frame.ErrCode.String()
		}
	}
}

// end reads until the server has closed the connection, and returns its reason; none where it gave none.
func (f frames) end(t *testing.T) string {
	t.Helper()
	reason := ""
	for {
		frame, err := f.ReadFrame()
		switch {
		case err == nil:
			if away, ok := frame.(*http2.GoAwayFrame); ok {
				reason = away.ErrCode.String()
			}
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err):
			return reason
		default:
			t.Fatal(err)
		}
	}
}

// message is a message of gRPC whose prefix says the given length.
func message(length int, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(length)), data...)
}

func encoded(t *testing.T) []byte {
	t.Helper()
	data, err := proto.Marshal(basket(mug, 1))
	must(t, err)
	return data
}

// A connection that breaks the protocol is ended with the reason, and no other.
func TestFramesThatAreWrongEndTheirConnectionAlone(t *testing.T) {
	bystander := connect(t, quick)
	bystander.serves(t, true)
	frame := func(length int, kind http2.FrameType, flags http2.Flags, stream uint32, payload ...byte) []byte {
		header := []byte{byte(length >> 16), byte(length >> 8), byte(length), byte(kind), byte(flags)}
		return append(binary.BigEndian.AppendUint32(header, stream), payload...)
	}
	// Where HTTP/2 has a reason of its own for what is wrong, the library of the server has the general one now and then.
	const protocol, size, compression = "PROTOCOL_ERROR", "FRAME_SIZE_ERROR", "COMPRESSION_ERROR"
	capitals := head(quotePath, "X-Text", "x")
	for _, wrong := range []struct {
		name   string
		bytes  []byte
		reason []string
	}{
		{"DATA on stream 0", frame(1, http2.FrameData, 0, 0, 'x'), []string{protocol}},
		{"DATA on a stream that is not open", frame(1, http2.FrameData, 0, 7, 'x'), []string{protocol, "STREAM_CLOSED"}},
		{"HEADERS on stream 0", frame(1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, 0x83), []string{protocol}},
		{"HEADERS on a stream of the server", frame(1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 2, 0x83), []string{protocol}},
		{"HEADERS that are longer than a frame may be", frame(1<<20, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, make([]byte, 1<<15)...), []string{size}},
		{"HEADERS that are all padding", frame(1, http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, 9), []string{protocol}},
		{"headers that do not decode", frame(3, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0xff, 0xff, 0xff), []string{compression, protocol}},
		{"a name of a header in capitals", frame(len(capitals), http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, capitals...), []string{compression, protocol}},
		{"CONTINUATION of nothing", frame(1, http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, 0x83), []string{protocol}},
		{"another frame between HEADERS and CONTINUATION", slices.Concat(frame(1, http2.FrameHeaders, 0, 1, 0x83), frame(8, http2.FramePing, 0, 0, make([]byte, 8)...)), []string{protocol}},
		{"SETTINGS of half a setting", frame(3, http2.FrameSettings, 0, 0, 0, 4, 0), []string{size, protocol}},
		{"SETTINGS with a window that is too large", frame(6, http2.FrameSettings, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff), []string{"FLOW_CONTROL_ERROR", protocol}},
		{"a PING of seven bytes", frame(7, http2.FramePing, 0, 0, make([]byte, 7)...), []string{size, protocol}},
		{"a PING on a stream", frame(8, http2.FramePing, 0, 1, make([]byte, 8)...), []string{protocol}},
		{"WINDOW_UPDATE by nothing", frame(4, http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 0), []string{protocol}},
		{"WINDOW_UPDATE beyond the largest window", frame(4, http2.FrameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff), []string{"FLOW_CONTROL_ERROR"}},
		{"RST_STREAM of a stream that is not open", frame(4, http2.FrameRSTStream, 0, 9, 0, 0, 0, 8), []string{protocol}},
		{"PUSH_PROMISE of a client", frame(5, http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, 0, 0, 0, 2, 0x83), []string{protocol}},
	} {
		t.Run(name(wrong.name), func(t *testing.T) {
			f := greeted(t)
			f.write(t, wrong.bytes)
			if reason := f.end(t); !slices.Contains(wrong.reason, reason) {
				t.Errorf("%q, not one of %q", reason, wrong.reason)
			}
			bystander.serves(t, true)
		})
	}
	for _, other := range []string{"GET / HTTP/1.1\r\nhost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 as TLS begins"} {
		t.Run(name("another protocol"), func(t *testing.T) {
			f := bare(t)
			f.write(t, []byte(other))
			// What answers is no HTTP/2, or GOAWAY.
			if _, err := io.Copy(io.Discard, f.conn); err != nil && !isReset(err) {
				t.Errorf("%q: the connection is open: %v", other, err)
			}
			bystander.serves(t, true)
		})
	}
}

// What is wrong in a call ends it alone: the connection goes on, with the calls that are open on it.
func TestMessagesThatAreWrongEndTheirCallAlone(t *testing.T) {
	f, good := greeted(t), encoded(t)
	whole := message(len(good), good)
	// Open throughout, and answered at the end.
	const open = 1
	must(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: open, BlockFragment: head(quotePath), EndHeaders: true}))
	must(t, f.WriteData(open, false, whole[:8]))
	id := uint32(open)
	for _, wrong := range []struct {
		name   string
		body   []byte
		header []string
		status []string
	}{
		{"no message", nil, nil, []string{"13"}},
		{"half a prefix", whole[:3], nil, []string{"13"}},
		{"half a message", whole[:len(whole)-2], nil, []string{"13"}},
		{"a prefix that says too little", message(len(good)-1, good), nil, []string{"13"}},
		{"a prefix that says four gigabytes", message(1<<32-1, good), nil, []string{"8"}},
		{"a prefix with a flag that there is not", append([]byte{2}, whole[1:]...), nil, []string{"13"}},
		{"compressed without a name of how", append([]byte{1}, whole[1:]...), nil, []string{"13"}},
		{"compressed by what is not known", append([]byte{1}, whole[1:]...), []string{"grpc-encoding", "brotli"}, []string{"12"}},
		{"no protobuf", message(3, []byte{0xff, 0xff, 0xff}), nil, []string{"13"}},
		{"a text that is no UTF-8", message(3, []byte{0x0a, 1, 0xff}), nil, []string{"13"}},
		{"a length that is not that of the body", whole, []string{"content-length", "3"}, []string{"PROTOCOL_ERROR"}},
		// Encoded they fit into a frame.
		{"headers beyond the limit", whole, []string{"x-text", string(bytes.Repeat([]byte{'a'}, 12<<10)), "x-more", string(bytes.Repeat([]byte{'a'}, 6<<10))}, []string{"HTTP 431"}},
	} {
		t.Run(name(wrong.name), func(t *testing.T) {
			id += 2
			f.call(t, id, wrong.body, wrong.header...)
			if status := f.status(t, id); !slices.Contains(wrong.status, status) {
				t.Errorf("%s, not one of %q", status, wrong.status)
			}
			id += 2
			f.call(t, id, whole)
			if status := f.status(t, id); status != "0" {
				t.Errorf("%s for the next call", status)
			}
		})
	}
	must(t, f.WriteData(open, true, whole[8:]))
	if status := f.status(t, open); status != "0" {
		t.Errorf("%s for the call that was open", status)
	}
}

// Every PING is answered with its bytes, also many on a connection without a call, which is not held against the client.
func TestPingsAreAnswered(t *testing.T) {
	f := greeted(t)
	for n := range uint64(200) {
		var sent [8]byte
		binary.BigEndian.PutUint64(sent[:], n)
		must(t, f.WritePing(false, sent))
		for {
			frame, err := f.ReadFrame()
			must(t, err)
			ping, ok := frame.(*http2.PingFrame)
			if !ok {
				continue
			}
			if !ping.IsAck() || ping.Data != sent {
				t.Fatalf("ping %d: %v", n, ping)
			}
			break
		}
	}
	good := encoded(t)
	f.call(t, 1, message(len(good), good))
	if status := f.status(t, 1); status != "0" {
		t.Errorf("%s after the pings", status)
	}
}
