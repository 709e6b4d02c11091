package grpcapi

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/stats"
)

// AnswersTimeout is how long a caller may take nothing of what it has asked for.
const AnswersTimeout = 30 * time.Second

// Listen returns a listener for a server of NewServer that closes a connection on which answers wait and none of their bytes has
// left for this long. gRPC keeps the answers of a peer that opens no window for them, yet answers pings, for as long as it is there.
func Listen(inner net.Listener, limit time.Duration) net.Listener {
	return &listener{inner, limit}
}

type listener struct {
	net.Listener
	limit time.Duration
}

func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, limit: l.limit}
	c.stuck = time.AfterFunc(l.limit, func() { inner.Close() })
	c.stuck.Stop()
	return c, nil
}

// conn compares what is queued for a peer with what is written to it. What is dropped, because the peer has given up a call, stays
// queued here: at worst a connection is closed on which nothing has moved for the limit.
type conn struct {
	net.Conn
	limit time.Duration

	mu sync.Mutex
	// queued and sent are bytes of messages.
	queued, sent int64
	stuck        *time.Timer
	frames       frames
}

func (c *conn) Write(content []byte) (int, error) {
	n, err := c.Conn.Write(content)
	c.mu.Lock()
	defer c.mu.Unlock()
	if data := c.frames.data(content[:n]); data > 0 {
		c.sent += data
		c.watch()
	}
	return n, err
}

func (c *conn) queue(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waits := c.queued > c.sent
	c.queued += int64(bytes)
	if !waits {
		c.watch()
	}
}

// watch begins the limit anew if something waits. The caller holds the lock.
func (c *conn) watch() {
	c.stuck.Stop()
	if c.queued > c.sent {
		c.stuck.Reset(c.limit)
	}
}

func (c *conn) Close() error {
	c.stuck.Stop()
	return c.Conn.Close()
}

// RemoteAddr leads from what gRPC knows of a connection to it.
func (c *conn) RemoteAddr() net.Addr { return &address{c.Conn.RemoteAddr(), c} }

type address struct {
	net.Addr
	conn *conn
}

// frames follows the frames of HTTP/2 that are written.
type frames struct {
	head [9]byte
	// read is how much of head is there, left how much of the frame's content is still to come.
	read, left int
}

// data returns how many of the bytes that come next are the content of DATA frames.
func (f *frames) data(content []byte) (n int64) {
	for len(content) > 0 {
		if f.left == 0 {
			copied := copy(f.head[f.read:], content)
			f.read, content = f.read+copied, content[copied:]
			if f.read < len(f.head) {
				return n
			}
			f.read, f.left = 0, int(f.head[0])<<16|int(f.head[1])<<8|int(f.head[2])
			continue
		}
		part := min(f.left, len(content))
		if f.head[3] == frameData {
			n += int64(part)
		}
		f.left, content = f.left-part, content[part:]
	}
	return n
}

// frameData is the type of DATA frames.
const frameData = 0

// queued tells connections what is queued for their peers.
type queued struct{}

type connKey struct{}

// TagConn remembers the connection of calls.
func (queued) TagConn(ctx context.Context, info *stats.ConnTagInfo) context.Context {
	if a, ok := info.RemoteAddr.(*address); ok {
		return context.WithValue(ctx, connKey{}, a.conn)
	}
	return ctx
}

// TagRPC has nothing to add.
func (queued) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleConn has nothing to do.
func (queued) HandleConn(context.Context, stats.ConnStats) {}

// HandleRPC is called after a message was queued, which may be after it was written.
func (queued) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if out, ok := event.(*stats.OutPayload); ok {
		if c, ok := ctx.Value(connKey{}).(*conn); ok {
			c.queue(out.WireLength)
		}
	}
}
