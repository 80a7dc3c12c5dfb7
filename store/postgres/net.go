package postgres

import (
	"net"
	"time"
)

// unackedTimeout is how long sent data may stay unacknowledged before the connection counts as lost. By
// default, TCP retries for a quarter of an hour.
const unackedTimeout = 10 * time.Second

// dialer returns a dialer whose connections end within about ten seconds if the other host loses power or the
// network drops packets.
func dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control:         setUnackedTimeout,
	}
}
