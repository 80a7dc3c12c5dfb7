package main

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/networks"
)

// One address can't have all connections, a proxy that is trusted can, and a place is
// free again once its connection is closed.
func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	proxies, err := networks.Parse([]string{"127.0.0.3"})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	l := boundConnections(inner, proxies, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
	l.most, l.perAddress = 6, 2
	accepted := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	dial := func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	var places []net.Conn
	for _, from := range []string{"127.0.0.1", "127.0.0.1", "127.0.0.3", "127.0.0.3", "127.0.0.3", "127.0.0.2"} {
		dial(from)
		places = append(places, <-accepted)
	}
	refused := func(from string) {
		t.Helper()
		conn := dial(from)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("%s gets another connection: %v", from, err)
		}
	}
	refused("127.0.0.2") // the server is full
	_ = places[5].Close()
	_ = places[5].Close() // counts once
	refused("127.0.0.1")  // the address is full
	dial("127.0.0.2")
	if conn := <-accepted; conn.RemoteAddr().(*net.TCPAddr).IP.String() != "127.0.0.2" {
		t.Errorf("from %s", conn.RemoteAddr())
	}
	if _, ok := places[0].(io.ReaderFrom); !ok {
		t.Error("a connection lost what a TCP connection can do")
	}
	inner.Close()
	<-accepted
	if n := strings.Count(log.String(), "connections are refused"); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
