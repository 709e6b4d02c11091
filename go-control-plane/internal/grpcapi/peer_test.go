package grpcapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	catalogv1 "hybrid/control-plane/gen/hybrid/catalog/v1"
	fleetv1 "hybrid/control-plane/gen/hybrid/fleet/v1"
	"hybrid/control-plane/internal/catalog"
)

// peer speaks HTTP/2 as the test wants. It answers pings and settings.
type peer struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	write  sync.Mutex
	// frames has what else the server sends. It is closed with the connection.
	frames chan frame
}

// frame is what a test needs to know of one.
type frame struct {
	kind   http2.FrameType
	stream uint32
	code   http2.ErrCode
	most   uint32
	ends   bool
}

func (s *served) peer(t *testing.T, settings ...http2.Setting) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &peer{t: t, conn: conn, framer: http2.NewFramer(conn, conn), frames: make(chan frame, 10_000)}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := p.framer.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	first, err := p.framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	most, _ := first.(*http2.SettingsFrame).Value(http2.SettingMaxConcurrentStreams)
	if err := p.framer.WriteSettingsAck(); err != nil {
		t.Fatal(err)
	}
	p.frames <- frame{kind: http2.FrameSettings, most: most}
	return p
}

// read hands on what the server sends. From then on write is held to write.
func (p *peer) read() {
	defer close(p.frames)
	for {
		read, err := p.framer.ReadFrame()
		if err != nil {
			return
		}
		f := frame{kind: read.Header().Type, stream: read.Header().StreamID}
		switch m := read.(type) {
		case *http2.PingFrame:
			if !m.IsAck() {
				p.write.Lock()
				err := p.framer.WritePing(true, m.Data)
				p.write.Unlock()
				if err != nil {
					return
				}
			}
			continue
		case *http2.HeadersFrame:
			f.ends = m.StreamEnded()
		case *http2.RSTStreamFrame:
			f.code = m.ErrCode
		}
		p.frames <- f
	}
}

// call begins a unary call, with its whole request.
func (p *peer) call(stream uint32, method string, request proto.Message) {
	p.t.Helper()
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "x"},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true}); err != nil {
		p.t.Fatal(err)
	}
	if request == nil {
		return
	}
	content, err := proto.Marshal(request)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.framer.WriteData(stream, true, append([]byte{0, 0, 0, byte(len(content) >> 8), byte(len(content))}, content...)); err != nil {
		p.t.Fatal(err)
	}
}

// A connection has a limit of open calls, which is told, and one that goes beyond it all the same is refused those calls alone.
func TestCallsBeyondTheLimitAreRefused(t *testing.T) {
	const most = 256
	s := serve(t, failing{err: catalog.ErrNotFound})
	p := s.peer(t)
	if told := <-p.frames; told.most != most {
		t.Errorf("the limit is told as %d", told.most)
	}
	for i := range uint32(most + 2) {
		p.call(2*i+1, catalogv1.CatalogService_GetItem_FullMethodName, nil)
	}
	go p.read()
	var refused []uint32
	for len(refused) < 2 {
		select {
		case f, open := <-p.frames:
			switch {
			case !open:
				t.Fatalf("closed, and refused are %v", refused)
			case f.kind == http2.FrameRSTStream && f.code == http2.ErrCodeRefusedStream:
				refused = append(refused, f.stream)
			case f.kind == http2.FrameRSTStream || f.kind == http2.FrameGoAway || f.kind == http2.FrameHeaders:
				t.Fatalf("answered with %+v", f)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("refused are %v", refused)
		}
	}
	if refused[0] != 2*most+1 || refused[1] != 2*most+3 {
		t.Errorf("refused are %v", refused)
	}
}

// A peer that answers pings, but has no room for its answers, is let go with all that waits for it. One that takes them slowly is not,
// nor one that has taken all.
func TestAPeerThatTakesNoAnswersIsLetGo(t *testing.T) {
	t.Parallel()
	s := serve(t, failing{err: catalog.ErrNotFound})
	for i := range 50 {
		s.registry.Connect(fmt.Sprint("node-", i), "1", 1)
	}
	request, method := &fleetv1.ListNodesRequest{PageSize: 50}, fleetv1.FleetService_ListNodes_FullMethodName
	closed := s.peer(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for i := range uint32(10) {
		closed.call(2*i+1, method, request)
	}
	go closed.read()
	began := time.Now()
	for range closed.frames {
	}
	if took := time.Since(began); took > 20*answersTimeout {
		t.Errorf("it was let go after %v", took)
	}

	slow := s.peer(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	slow.call(1, method, request)
	go slow.read()
	// The answer has some 2,000 bytes.
	ended := false
	for ticker := time.NewTicker(answersTimeout / 4); !ended; {
		select {
		case f, open := <-slow.frames:
			if !open {
				t.Fatal("a slow peer was let go")
			}
			ended = f.kind == http2.FrameHeaders && f.ends
		case <-ticker.C:
			slow.write.Lock()
			err := slow.framer.WriteWindowUpdate(1, 200)
			slow.write.Unlock()
			if err != nil {
				t.Fatal("a slow peer was let go")
			}
		}
	}
	select {
	case f, open := <-slow.frames:
		if !open {
			t.Errorf("a peer that waits for nothing was let go")
		} else {
			t.Logf("%+v", f)
		}
	case <-time.After(3 * answersTimeout):
	}
}
