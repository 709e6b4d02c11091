package postgres

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall does not have.
const tcpUserTimeout = 18

// limitUnacknowledged ends a connection on which what was sent is not acknowledged for this long. The kernel would repeat it for a
// quarter of an hour.
func limitUnacknowledged(dialer *net.Dialer, limit time.Duration) {
	dialer.Control = func(_, _ string, socket syscall.RawConn) error {
		var failed error
		err := socket.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
		})
		if err == nil {
			err = failed
		}
		return err
	}
}
