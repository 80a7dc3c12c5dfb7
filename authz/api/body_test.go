package api_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
)

const longBody = 2 << 20

// raw sends the request exactly as given, and only then reads, like many clients (Python's http.client).
func (s *server) raw(t *testing.T, head string, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	conn := s.dial(t)
	_, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n")
	must(t, err)
	if body != nil {
		_, err = io.Copy(conn, body)
		must(t, err)
	}
	return s.receive(t, conn, head)
}

func (s *server) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	// With a small send buffer, bytes that the server has not read are not counted as sent.
	must(t, conn.(*net.TCPConn).SetWriteBuffer(64<<10))
	return conn.(*net.TCPConn)
}

// receive reads an answer and checks it against the OpenAPI document.
func (s *server) receive(t *testing.T, conn net.Conn, head string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n")))
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if err := s.contract.check(r, resp, body); err != nil {
		t.Error(redact(err.Error()))
	}
	return resp, body
}

func (s *server) head(method, path string, headers ...string) string {
	lines := append([]string{
		method + " " + path + " HTTP/1.1", "Host: burnkey", "Authorization: Bearer " + s.admin,
		"Content-Type: application/json",
	}, headers...)
	return strings.Join(lines, "\n") + "\n"
}

func longKey(n int) string {
	const around = `{"owner":"x","name":""}`
	return strings.Replace(around, `""`, `"`+strings.Repeat("n", n-len(around))+`"`, 1)
}

func TestLongBodies(t *testing.T) {
	s := newServer(t)
	before := s.state()
	chunked := func(body string) io.Reader {
		var b bytes.Buffer
		for len(body) > 0 {
			n := min(len(body), 8<<10)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		b.WriteString("0\r\n\r\n")
		return &b
	}
	for name, call := range map[string]struct {
		header string
		body   io.Reader
	}{
		"whole first":          {fmt.Sprintf("Content-Length: %d", longBody), strings.NewReader(longKey(longBody))},
		"a byte too long":      {fmt.Sprintf("Content-Length: %d", 64<<10+1), strings.NewReader(longKey(64<<10 + 1))},
		"chunked":              {"Transfer-Encoding: chunked", chunked(longKey(longBody))},
		"chunked, one too far": {"Transfer-Encoding: chunked", chunked(longKey(64<<10 + 1))},
		"waiting for leave":    {fmt.Sprintf("Expect: 100-continue\nContent-Length: %d", longBody), nil},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := s.raw(t, s.head("POST", keysPath, call.header), call.body)
			if resp.StatusCode != 413 || !strings.Contains(string(body), `"errors":[{"field":"body","detail":"must be at most 65536 bytes"}]`) {
				t.Errorf("answered %d: %.200s", resp.StatusCode, body)
			}
		})
	}
	for _, path := range []string{keysPath, "/v1/workspaces", issuer + "/revoke"} {
		s.do("POST", path, longKey(longBody)).want(413)
	}
	s.do("PATCH", "/v1/workspaces/acme", longKey(longBody)).want(413)
	if s.state() != before {
		t.Error("a refused call changed something")
	}
}

// A client that sends Expect: 100-continue is told to continue if the length is acceptable.
func TestExpectContinue(t *testing.T) {
	s := newServer(t)
	conn := s.dial(t)
	head := s.head("POST", keysPath, "Expect: 100-continue", "Content-Length: 13")
	toldToContinue(t, conn, head)
	_, err := io.WriteString(conn, `{"owner":"x"}`)
	must(t, err)
	if resp, _ := s.receive(t, conn, head); resp.StatusCode != 201 {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// toldToContinue sends the head of a request, and returns when the server begins to read the body.
func toldToContinue(t *testing.T, conn net.Conn, head string) {
	t.Helper()
	_, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n")
	must(t, err)
	const leave = "HTTP/1.1 100 Continue\r\n\r\n"
	got := make([]byte, len(leave))
	_, err = io.ReadFull(conn, got)
	must(t, err)
	if string(got) != leave {
		t.Fatalf("got %q", got)
	}
}

func TestBodyCutOff(t *testing.T) {
	s := newServer(t)
	before := s.state()
	conn := s.dial(t)
	head := s.head("POST", keysPath, "Content-Length: 14")
	_, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n"+`{"owner":"x"}`)
	must(t, err)
	must(t, conn.CloseWrite())
	if resp, body := s.receive(t, conn, head); resp.StatusCode != 400 || !strings.Contains(string(body), `"field":"body"`) {
		t.Errorf("answered %d: %s", resp.StatusCode, body)
	}
	if s.state() != before {
		t.Error("half a request changed something")
	}
}

func TestBodyTooSlow(t *testing.T) {
	var conns sync.Map // the server's end, by the address of the client's
	s := newServer(t, func(_ *server, _ *authz.Options, h *http.Server) {
		h.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
			conns.Store(conn.RemoteAddr().String(), conn)
			return ctx
		}
	})
	conn := s.dial(t)
	head := s.head("POST", keysPath, "Expect: 100-continue", "Content-Length: 1000")
	toldToContinue(t, conn, head)
	_, err := io.WriteString(conn, `{"owner":`)
	must(t, err)
	end, _ := conns.Load(conn.LocalAddr().String())
	must(t, end.(net.Conn).SetReadDeadline(time.Unix(1, 0))) // a short ReadTimeout would hold for all requests
	resp, body := s.receive(t, conn, head)
	if resp.StatusCode != 408 || !strings.Contains(string(body), `"field":"body"`) {
		t.Errorf("answered %d: %s", resp.StatusCode, body)
	}
}

// The server ignores the body of a call that has none.
func TestBodyNotAskedFor(t *testing.T) {
	s := newServer(t)
	key := s.issue("acme", map[string]any{})
	s.do("GET", keysPath, marker).want(200)
	s.do("DELETE", keysPath+"/"+key.id, marker).want(200)
	s.do("GET", "/healthz", strings.Repeat("x", 100<<10)).want(200)
}
