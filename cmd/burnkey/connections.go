package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/networks"
)

// These constants limit open connections. One address can have half of them. An idle connection takes about 15
// KiB of memory.
const (
	maxConnections = 32768
	ownDescriptors = 512 // reserved for the database, minting and files
	fewConnections = 64
)

// connections limits open connections, so that the server does not run out of file descriptors and no address
// takes them all. To make room for a new connection, it closes one without a request, or else one from an
// address that has more connections than the new one's. If there is neither, it closes the new connection.
type connections struct {
	net.Listener
	most, perAddress int
	proxies          networks.List // each stands for many clients
	log              *slog.Logger
	refused          prometheus.Counter
	displaced        prometheus.Counter
	warned           logs.Throttle

	mu   sync.Mutex
	open map[*place]struct{}
	by   map[string]int
}

// place is what connections records for one open connection.
type place struct {
	address string // name under which it is counted
	busy    atomic.Bool
	of      *connections
	close   func() error // closes the connection without leaving the place
}

func boundConnections(l net.Listener, proxies networks.List, metrics prometheus.Registerer, log *slog.Logger) *connections {
	most := mostConnections()
	c := &connections{
		Listener: l, most: most, perAddress: most / 2, proxies: proxies, log: log,
		open: make(map[*place]struct{}), by: make(map[string]int),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "burnkey_connections_refused_total", Help: "Connections closed at once because their address or the server had too many.",
		}),
		displaced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "burnkey_connections_displaced_total",
			Help: "Connections closed to make room for others: idle ones, or those of the addresses with the most.",
		}),
	}
	metrics.MustRegister(c.refused, c.displaced)
	return c
}

// mostConnections returns the number of connections that the process's limit on file descriptors allows.
func mostConnections() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return maxConnections
	}
	free := min(uint64(limit.Cur), maxConnections+ownDescriptors)
	return max(int(free)-ownDescriptors, fewConnections)
}

// Accept implements net.Listener.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p := &place{address: c.counted(conn.RemoteAddr().String()), of: c, close: conn.Close}
		gone, ok := c.enter(p)
		if gone != nil {
			_ = gone.close() // its goroutine sees a lost connection
			c.turnAway(c.displaced, gone.address)
		}
		if !ok {
			_ = conn.Close()
			c.turnAway(c.refused, p.address)
			continue
		}
		return &placed{conn.(*net.TCPConn), p}, nil // it comes from net.Listen("tcp")
	}
}

// counted returns the name under which a connection is counted, or "" for a trusted proxy.
func (c *connections) counted(remote string) string {
	if at, err := netip.ParseAddrPort(remote); err == nil && c.proxies.Contains(at.Addr().Unmap()) {
		return ""
	}
	return clientaddr.Network(remote)
}

func (c *connections) turnAway(count prometheus.Counter, address string) {
	count.Inc()
	c.mu.Lock()
	open, of := len(c.open), c.by[address]
	c.mu.Unlock()
	c.warned.For(c.log, "").Warn("too many connections: some are closed", "open", open, "most", c.most, "from", address,
		"of_this_address", of, "most_of_one", c.perAddress)
}

// noteState is the http.Server's ConnState hook. It records whether a connection has a request with a complete
// header.
func noteState(conn net.Conn, state http.ConnState) {
	if p, ok := conn.(*placed); ok {
		p.setBusy(state == http.StateActive)
	}
}

func (p *place) setBusy(busy bool) { p.busy.Store(busy) }

// placed is a connection that gives its place back when it is closed.
type placed struct {
	*net.TCPConn
	*place
}

func (p *placed) Close() error {
	p.leave()
	return p.TCPConn.Close()
}

// seenForRoom is how many connections are examined to choose one to close.
const seenForRoom = 64

// enter takes a place for p. If p replaces another connection, enter returns that connection, which the caller
// must close.
func (c *connections) enter(p *place) (gone *place, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := p.address != "" && c.by[p.address] >= c.perAddress
	if full || len(c.open) >= c.most {
		if gone = c.yielding(p.address, full); gone == nil {
			return nil, false
		}
		c.remove(gone)
	}
	c.open[p] = struct{}{}
	c.by[p.address]++
	return gone, true
}

// yielding chooses a connection to close in favour of a new one from the address; if own is set, it considers
// only connections from that address. It examines a sample, which probably includes connections of the address
// with the most.
func (c *connections) yielding(address string, own bool) *place {
	var gone *place
	looked := 0
	for p := range c.open {
		if looked++; looked > seenForRoom {
			break
		}
		if own && p.address != address {
			continue
		}
		if gone == nil || c.yieldsBefore(p, gone) {
			gone = p
		}
	}
	if gone != nil && gone.busy.Load() && (own || c.weight(gone.address) <= c.weight(address)+1) {
		return nil
	}
	return gone
}

func (c *connections) yieldsBefore(p, other *place) bool {
	if busy := p.busy.Load(); busy != other.busy.Load() {
		return !busy
	}
	return c.weight(p.address) > c.weight(other.address)
}

// weight returns an address's number of connections. It is 0 for a trusted proxy, which represents many
// clients.
func (c *connections) weight(address string) int {
	if address == "" {
		return 0
	}
	return c.by[address]
}

func (p *place) leave() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.remove(p)
}

// remove gives a place back. Further calls do nothing.
func (c *connections) remove(p *place) {
	if _, ok := c.open[p]; !ok {
		return
	}
	delete(c.open, p)
	if c.by[p.address]--; c.by[p.address] == 0 {
		delete(c.by, p.address)
	}
}
