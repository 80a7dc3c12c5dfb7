package testkit

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreeAddr returns an unused address on 127.0.0.1, which no other test gets until the test ends.
func FreeAddr(t testing.TB) string {
	t.Helper()
	port, release, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = release() })
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// FreePort returns an unused TCP port on 127.0.0.1. Until release is called, no other call returns the port, in any process,
// even while nothing listens on it. It is below the ephemeral ports, so that no outgoing connection takes it.
func FreePort() (port int, release func() error, err error) {
	for range 100 {
		port = 20000 + rand.IntN(12000)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		held, err := net.ListenPacket("udp", addr) // the same port of UDP, which nothing here uses, marks it as taken
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil && l.Close() == nil {
			return port, held.Close, nil
		}
		_ = held.Close()
	}
	return 0, nil, errors.New("testkit: no free port from 20000 to 32000")
}
