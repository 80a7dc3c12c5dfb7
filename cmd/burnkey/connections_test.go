package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/networks"
)

// One address cannot take all connections, but a trusted proxy can. Closing a connection makes room for another.
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
	busy := func(from string) net.Conn {
		t.Helper()
		dial(from)
		conn := <-accepted
		noteState(conn, http.StateActive)
		return conn
	}
	var places []net.Conn
	for _, from := range []string{"127.0.0.1", "127.0.0.1", "127.0.0.3", "127.0.0.3", "127.0.0.3", "127.0.0.2"} {
		places = append(places, busy(from))
	}
	refused := func(from string) {
		t.Helper()
		conn := dial(from)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("%s gets another connection: %v", from, err)
		}
	}
	refused("127.0.0.2") // the server is full, and only a proxy has two more
	_ = places[5].Close()
	_ = places[5].Close() // closing twice counts once
	refused("127.0.0.1")  // the address is full
	if conn := busy("127.0.0.2"); conn.RemoteAddr().(*net.TCPAddr).IP.String() != "127.0.0.2" {
		t.Errorf("from %s", conn.RemoteAddr())
	}
	if _, ok := places[0].(io.ReaderFrom); !ok {
		t.Error("a connection lost what a TCP connection can do")
	}
	inner.Close()
	<-accepted
	if n := strings.Count(log.String(), "too many connections"); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
}

// At the limit, a connection without a request is closed, or else one from an address that has more connections
// than the new one's.
func TestConnectionsGiveWay(t *testing.T) {
	c := boundConnections(nil, nil, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	c.most, c.perAddress = 8, 4
	enter := func(address string, busy bool) (p, gone *place, ok bool) {
		p = &place{address: address, of: c}
		p.setBusy(busy)
		gone, ok = c.enter(p)
		return p, gone, ok
	}
	var idle *place
	for i := range 4 {
		enter("crowd", true)
		p, _, _ := enter("other crowd", i > 0)
		if i == 0 {
			idle = p
		}
	}
	if _, gone, ok := enter("crowd", true); ok || gone != nil {
		t.Error("an address that is full of requests gets another connection")
	}
	if _, gone, ok := enter("gateway", true); !ok || gone != idle {
		t.Errorf("an idle connection does not give way: %v, %v", gone, ok)
	}
	if _, gone, ok := enter("gateway", true); !ok || gone == nil || gone.address != "crowd" {
		t.Errorf("a crowd's connection does not give way: %v, %v", gone, ok)
	}
	if _, gone, ok := enter("", true); !ok || gone == nil || gone.address == "gateway" {
		t.Errorf("a crowd's connection does not give way to a proxy's: %v, %v", gone, ok)
	}
	if _, gone, ok := enter("crowd", true); ok || gone != nil {
		t.Errorf("a crowd takes the place of %v", gone)
	}
	idle.leave() // closed by its own goroutine, later
	if len(c.open) != c.most || c.by["crowd"]+c.by["other crowd"]+c.by["gateway"]+c.by[""] != c.most {
		t.Errorf("%d open, %v", len(c.open), c.by)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
