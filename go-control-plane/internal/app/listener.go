package app

import (
	"net"
	"sync"
	"sync/atomic"

	"hybrid/control-plane/internal/config"
)

// maxConnections is how many connections each port serves at once.
const maxConnections = 1_000

// listener closes the connections beyond a limit at once, so that their callers know, where netutil.LimitListener would let
// them wait.
type listener struct {
	net.Listener
	places  chan struct{}
	refused *atomic.Int64
}

// listen names the variable of the port in its error.
func listen(address, variable string, limit int, refused *atomic.Int64) (net.Listener, error) {
	inner, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &config.Error{Variable: variable, Reason: "set it to a port that is free at BIND_ADDRESS", Err: err}
	}
	return &listener{Listener: inner, places: make(chan struct{}, limit), refused: refused}, nil
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &conn{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			l.refused.Add(1)
			c.Close()
		}
	}
}

// conn gives its place back when it is closed.
type conn struct {
	net.Conn
	leave func()
}

func (c *conn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
