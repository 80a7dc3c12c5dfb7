package main

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/networks"
)

// Limits of open connections: of all, and of one address half as many. An idle one takes
// some 15 KiB for up to idleTimeout.
const (
	maxConnections  = 32768
	ownDescriptors  = 512 // are left for the database, minting and files
	fewConnections  = 64
	refusalLogEvery = time.Minute
)

// connections accepts so many at one time that the server neither runs out of
// descriptors nor serves one address alone. More are closed at once.
type connections struct {
	net.Listener
	most, perAddress int
	proxies          networks.List // each stands for many clients
	log              *slog.Logger
	refused          prometheus.Counter

	mu     sync.Mutex
	open   int
	by     map[string]int
	logged time.Time
}

func boundConnections(l net.Listener, proxies networks.List, metrics prometheus.Registerer, log *slog.Logger) *connections {
	most := mostConnections()
	c := &connections{
		Listener: l, most: most, perAddress: most / 2, proxies: proxies, log: log, by: make(map[string]int),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "burnkey_connections_refused_total", Help: "Connections closed at once, since their address or the server had too many.",
		}),
	}
	metrics.MustRegister(c.refused)
	return c
}

// mostConnections is how many the process's descriptors allow.
func mostConnections() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return maxConnections
	}
	free := min(uint64(limit.Cur), maxConnections+ownDescriptors)
	return max(int(free)-ownDescriptors, fewConnections)
}

// Accept is net.Listener's.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := c.counted(conn.RemoteAddr().String())
		if !c.enter(address) {
			c.refuse(conn, address)
			continue
		}
		leave := sync.OnceFunc(func() { c.leave(address) })
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &tcpPlace{tcp, leave}, nil
		}
		return &anyPlace{conn, leave}, nil
	}
}

// counted returns what a connection counts to; empty for a proxy that is trusted.
func (c *connections) counted(remote string) string {
	if at, err := netip.ParseAddrPort(remote); err == nil && c.proxies.Contains(at.Addr().Unmap()) {
		return ""
	}
	return clientaddr.Network(remote)
}

func (c *connections) enter(address string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.most || address != "" && c.by[address] >= c.perAddress {
		return false
	}
	c.open++
	c.by[address]++
	return true
}

func (c *connections) leave(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.by[address]--; c.by[address] == 0 {
		delete(c.by, address)
	}
}

func (c *connections) refuse(conn net.Conn, address string) {
	_ = conn.Close() // it was not to be used
	c.refused.Inc()
	c.mu.Lock()
	due := time.Since(c.logged) >= refusalLogEvery
	if due {
		c.logged = time.Now()
	}
	open, of := c.open, c.by[address]
	c.mu.Unlock()
	if due {
		c.log.Warn("connections are refused", "open", open, "most", c.most, "from", address, "of_this_address", of, "most_of_one", c.perAddress)
	}
}

// tcpPlace is a connection that gives its place back when it is closed.
type tcpPlace struct {
	*net.TCPConn
	leave func()
}

func (p *tcpPlace) Close() error {
	p.leave()
	return p.TCPConn.Close()
}

type anyPlace struct {
	net.Conn
	leave func()
}

func (p *anyPlace) Close() error {
	p.leave()
	return p.Conn.Close()
}
