package postgres

import (
	"net"
	"time"
)

// unackedTimeout is how long sent data may stay unacknowledged until the
// connection counts as lost. Without it, TCP tries for a quarter of an hour.
const unackedTimeout = 10 * time.Second

// dialer notices within about ten seconds that the other side has gone without a
// word, be it a host that lost its power or a network that drops packets.
func dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control:         setUnackedTimeout,
	}
}
