package main

import (
	"bufio"
	"net"
	"sync"
)

// upstream is the API behind Envoy: it answers every request with the same few
// bytes, and reads of a request only where it ends.
type upstream struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]bool // nil once closed
	all   sync.WaitGroup
}

func startUpstream() (*upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{Listener: listener, conns: map[net.Conn]bool{}}
	u.all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			if u.keep(c) {
				u.all.Go(func() { u.serve(c) })
			}
		}
	})
	return u, nil
}

func (u *upstream) keep(c net.Conn) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conns == nil {
		_ = c.Close()
		return false
	}
	u.conns[c] = true
	return true
}

func (u *upstream) serve(c net.Conn) {
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.conns, c)
		_ = c.Close()
	}()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n")
	r := bufio.NewReaderSize(c, 32<<10)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if len(line) > 2 {
			continue
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// stop closes all connections and returns once none is served.
func (u *upstream) stop() {
	u.Close()
	u.mu.Lock()
	conns := u.conns
	u.conns = nil
	u.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
	u.all.Wait()
}
