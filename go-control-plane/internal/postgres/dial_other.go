//go:build !linux

package postgres

import (
	"net"
	"time"
)

// limitUnacknowledged does nothing: only Linux has such a limit for a socket.
func limitUnacknowledged(*net.Dialer, time.Duration) {}
