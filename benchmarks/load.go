package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// answerTimeout limits one request. Stock Envoy may have to parse half a gigabyte before it answers.
const answerTimeout = 2 * time.Minute

// load sends requests over persistent HTTP/1.1 connections. Each connection waits for an answer before it sends
// the next request. It implements only part of the protocol, since net/http would use more processor time than
// the measured programs.
type load struct {
	addr        string
	requests    [][]byte // sent in turn; each connection begins with another
	connections int
	duration    time.Duration
	count       int     // ends the load early, if positive
	rate        float64 // requests a second of all connections, if positive
	want        int     // the status of every answer
}

// loadResult is the result of a load in which every answer had the wanted status.
type loadResult struct {
	latencies []time.Duration // ascending
	elapsed   time.Duration
	bytes     int64 // of bodies
}

func (r loadResult) perSecond() float64 { return float64(len(r.latencies)) / r.elapsed.Seconds() }

func (r loadResult) add(other loadResult) loadResult {
	r.latencies = append(slices.Clone(r.latencies), other.latencies...)
	slices.Sort(r.latencies)
	r.elapsed += other.elapsed
	r.bytes += other.bytes
	return r
}

// percentile returns the smallest value such that at least the given share (0 to 1) of the values are no
// larger. The values must be ascending. It returns 0 if there are no values.
func percentile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	rank := int(share*float64(len(values)) + 1 - 1e-9)
	return values[min(max(rank, 1), len(values))-1]
}

// run sends the load. It returns an error if an answer is missing or has another status than wanted.
func (l load) run(ctx context.Context) (loadResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		each = make([]loadResult, l.connections)
		errs = make([]error, l.connections)
		all  sync.WaitGroup
	)
	began := time.Now()
	for i := range l.connections {
		all.Go(func() {
			if each[i], errs[i] = l.connection(ctx, i, began); errs[i] != nil {
				cancel()
			}
		})
	}
	all.Wait()
	var result loadResult
	for _, r := range each {
		result.latencies = append(result.latencies, r.latencies...)
		result.bytes += r.bytes
	}
	slices.Sort(result.latencies)
	result.elapsed = time.Since(began)
	err := errors.Join(errs...)
	if err == nil && len(result.latencies) == 0 {
		err = errors.New("no request was answered")
	}
	return result, err
}

func (l load) connection(ctx context.Context, i int, began time.Time) (r loadResult, err error) {
	c, err := dial(l.addr)
	if err != nil {
		return r, err
	}
	defer c.hangUp()
	at := i * len(l.requests) / l.connections
	quota := l.count/l.connections + min(1, max(0, l.count%l.connections-i))
	for n := 0; (l.count <= 0 || n < quota) && time.Since(began) < l.duration && ctx.Err() == nil; n++ {
		if l.rate > 0 && !l.await(ctx, i, n, began) {
			break
		}
		sent := time.Now()
		status, size, err := c.do(l.requests[(at+n)%len(l.requests)])
		if err == nil && status != l.want {
			err = fmt.Errorf("%s answered %d, not %d, to request %d of connection %d", l.addr, status, l.want, n, i)
		}
		if err != nil {
			return r, err
		}
		r.latencies = append(r.latencies, time.Since(sent))
		r.bytes += size
	}
	return r, nil
}

// await waits until connection i has to send its n-th request. It returns false if the load ends before then.
func (l load) await(ctx context.Context, i, n int, began time.Time) bool {
	each := time.Duration(float64(time.Second) * float64(l.connections) / l.rate)
	due := began.Add(time.Duration(n)*each + each*time.Duration(i)/time.Duration(l.connections))
	if due.Sub(began) >= l.duration {
		return false
	}
	wait := time.NewTimer(time.Until(due))
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// conn is a connection that stays open.
type conn struct {
	net.Conn
	r   *bufio.Reader
	raw syscall.RawConn
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &conn{c, bufio.NewReaderSize(c, 16<<10), raw}, nil
}

// hangUp closes the connection.
func (c *conn) hangUp() { _ = c.Close() }

// do sends a request, reads the whole answer, and returns its status and the size of its body.
func (c *conn) do(request []byte) (status int, size int64, err error) {
	if err := c.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, 0, err
	}
	if _, err := c.Write(request); err != nil {
		return 0, 0, err
	}
	status, size, err = c.head()
	if err != nil || status == 304 {
		return status, 0, err
	}
	if size < 0 {
		size, err = c.chunks()
		return status, size, err
	}
	return status, size, c.discard(size)
}

// head reads the status and the header of an answer. It returns the size of the body, or -1 for a chunked body.
func (c *conn) head() (status int, size int64, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 12 || string(line[:9]) != "HTTP/1.1 " {
		return 0, 0, errors.New("the answer is not HTTP/1.1")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, err
	}
	for {
		if line, err = c.r.ReadSlice('\n'); err != nil {
			return 0, 0, err
		}
		if len(line) <= 2 {
			return status, size, nil
		}
		switch line[0] | 0x20 {
		case 'c':
			if value, ok := header(line, "content-length"); ok {
				if size, err = strconv.ParseInt(value, 10, 64); err != nil {
					return 0, 0, err
				}
			}
		case 't':
			if _, ok := header(line, "transfer-encoding"); ok {
				size = -1
			}
		}
	}
}

func header(line []byte, name string) (value string, ok bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !strings.EqualFold(string(line[:len(name)]), name) {
		return "", false
	}
	return strings.TrimSpace(string(line[len(name)+1:])), true
}

// chunks reads a chunked body (RFC 9112 section 7.1).
func (c *conn) chunks() (total int64, err error) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return total, err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 64)
		if err != nil {
			return total, err
		}
		if err := c.discard(size + 2); err != nil || size == 0 {
			return total, err
		}
		total += size
	}
}

// discard drops size bytes. The kernel drops bytes that are not yet in the buffer, since the time for copying
// megabytes here would be measured as the server's.
func (c *conn) discard(size int64) error {
	buffered := min(size, int64(c.r.Buffered()))
	if _, err := c.r.Discard(int(buffered)); err != nil {
		return err
	}
	for left := size - buffered; left > 0; {
		n, err := c.drop(left)
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

var sink [1 << 20]byte // its content is never used

func (c *conn) drop(size int64) (n int, err error) {
	buffer := sink[:min(size, int64(len(sink)))]
	waited := c.raw.Read(func(fd uintptr) bool {
		n, _, err = syscall.Recvfrom(int(fd), buffer, syscall.MSG_TRUNC)
		return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	})
	switch {
	case waited != nil:
		return 0, waited
	case err == nil && n == 0:
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// get returns a GET request with additional header lines.
func get(addr, path string, lines ...string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n")
}

// withToken returns a request with a token.
func withToken(addr, token string) []byte { return get(addr, "/", "Authorization: Bearer "+token) }
