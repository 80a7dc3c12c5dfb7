package e2e_test

import (
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// balancer passes each TCP connection to one of its backends, in turn.
type balancer struct {
	url      string
	listener net.Listener

	mu       sync.Mutex
	backends []backend
	next     int
	conns    sync.WaitGroup
	open     map[net.Conn]struct{}
	ended    bool           // new connections are closed
	busy     map[string]int // connections by backend, also those that are being opened
}

// backend is used while its ready URL answers 200; without one, always.
type backend struct {
	addr, ready string
	out         bool
}

// startBalancer runs a balancer until the test ends.
func startBalancer(t testing.TB) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	b := &balancer{url: "http://" + l.Addr().String(), listener: l, open: make(map[net.Conn]struct{}), busy: make(map[string]int)}
	end := make(chan struct{})
	b.conns.Go(func() { b.watch(end) })
	b.conns.Go(b.accept)
	t.Cleanup(func() {
		close(end)
		l.Close()
		b.mu.Lock()
		b.ended = true
		for conn := range b.open {
			conn.Close()
		}
		b.mu.Unlock()
		b.conns.Wait()
	})
	return b
}

func (b *balancer) add(addr, ready string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = append(b.backends, backend{addr, ready, ready != ""})
}

func (b *balancer) remove(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.DeleteFunc(b.backends, func(one backend) bool { return one.addr == addr })
}

// drain removes a backend, and waits until its connections have ended.
func (b *balancer) drain(t testing.TB, addr string) {
	t.Helper()
	b.remove(addr)
	eventually(t, "the backend has no connections", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.busy[addr] == 0
	})
}

// uses reports whether connections can be passed to a backend.
func (b *balancer) uses(addr string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.backends, func(one backend) bool { return one.addr == addr && !one.out })
}

// watch checks the backends ten times a second.
func (b *balancer) watch(end <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		b.mu.Lock()
		all := slices.Clone(b.backends)
		b.mu.Unlock()
		for _, one := range all {
			if one.ready == "" {
				continue
			}
			resp, err := plainHTTP.Get(one.ready)
			isReady := err == nil && resp.StatusCode == http.StatusOK
			if err == nil {
				resp.Body.Close()
			}
			b.mu.Lock()
			for i := range b.backends {
				if b.backends[i].addr == one.addr {
					b.backends[i].out = !isReady
				}
			}
			b.mu.Unlock()
		}
	}
}

func (b *balancer) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.conns.Go(func() { b.pass(conn) })
	}
}

// pass connects to a backend and copies in both directions until one end closes.
func (b *balancer) pass(conn net.Conn) {
	defer b.keep(conn)()
	to, done := b.dial()
	if to == nil {
		return
	}
	defer done()
	defer b.keep(to)()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(conn, to)
		conn.Close()
	})
	_, _ = io.Copy(to, conn)
	to.Close()
	back.Wait()
}

// keep records a connection, so that it is closed when the test ends.
func (b *balancer) keep(conn net.Conn) (closing func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[conn] = struct{}{}
	if b.ended {
		conn.Close()
	}
	return func() {
		conn.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.open, conn)
	}
}

// dial tries every backend that is ready, beginning with the next in turn.
func (b *balancer) dial() (conn net.Conn, done func()) {
	for _, addr := range b.choose() {
		var err error
		if conn == nil {
			conn, err = net.Dial("tcp", addr)
		}
		if err == nil && done == nil {
			done = func() { b.release(addr) }
			continue
		}
		b.release(addr)
	}
	return conn, done
}

// choose returns the backends that are ready, and counts a connection for each until release.
func (b *balancer) choose() (ready []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.backends {
		if !one.out {
			ready = append(ready, one.addr)
			b.busy[one.addr]++
		}
	}
	if b.next++; len(ready) > 0 {
		first := b.next % len(ready)
		ready = slices.Concat(ready[first:], ready[:first])
	}
	return ready
}

func (b *balancer) release(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy[addr]--
}
