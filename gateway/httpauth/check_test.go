package httpauth

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/jwks"
)

func TestCheck(t *testing.T) {
	d := open(t, nil)
	good := bearer(own().Bearer("acme"))
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PROPFIND"} {
		a := d.ask(t, method, "/check?scopes=maps:read+tiles:read&audience=maps&workspace=acme&route=tiles", good...)
		if a.status != 200 || a.headers.Get("X-Burnkey-Key-Id") != "key-1" || a.headers.Get("X-Burnkey-Scopes") != "maps:read tiles:read" ||
			a.headers.Get("X-Key-Status") != "active" || a.headers.Get(headerPath) != "" {
			t.Errorf("%s: %v", method, a)
		}
	}
	for target, want := range map[string]int{
		"/check?scopes=admin": 403, "/check?scopes=maps:read&scopes=admin": 500, "/check?scopes=maps:read;admin": 500, "/check?scopes=%": 500,
		"/check?scope=admin": 500, "/check?scopes": 500, "/": 404, "/check/": 404, "//check": 404, "/auth_request/x": 404, "/readyz": 200,
	} {
		if a := d.ask(t, "GET", target, good...); a.status != want {
			t.Errorf("%s: %v, want %d", target, a, want)
		}
	}
	if a := d.ask(t, "GET", PathNginx+"?scope=admin", good...); a.status != 403 || a.headers.Get(headerStatus) != "500" {
		t.Errorf("nginx: %v", a)
	}
	d.counts.mu.Lock()
	defer d.counts.mu.Unlock()
	if n := d.counts.reasons; n["ok"] != 5 || n["scope"] != 1 || n["configuration"] != 6 {
		t.Errorf("counted %v", n)
	}
}

// A key in the query is found in the URI that the proxy sends, and the answer has the path without it.
func TestKeyInTheQuery(t *testing.T) {
	places, err := jwks.ParsePlaces("bearer", "query:k")
	check(t, err)
	d := open(t, func(o *gateway.Options) { o.Places = places })
	token := own().Token(payload("acme"))
	uri := jwks.HeaderField{Name: "X-Forwarded-Uri", Value: "/v1?a=1&k=" + token}
	if a := d.ask(t, "GET", "/check", uri); a.status != 200 || a.headers.Get(headerPath) != "/v1?a=1" {
		t.Errorf("%v", a)
	}
	if a := d.ask(t, "GET", "/check?k="+token); a.status != 500 {
		t.Errorf("in the query of the call: %v", a)
	}
	if a := d.ask(t, "GET", "/check", uri, uri); a.status != 401 {
		t.Errorf("two URIs: %v", a)
	}
}

func TestClientAddress(t *testing.T) {
	header := func(values ...string) http.Header { return http.Header{"X-Real-Ip": values} }
	for _, test := range []struct {
		name   string
		header http.Header
		want   string
	}{
		{"X-Real-IP", header("192.0.2.1"), "192.0.2.1"},
		{"x-real-ip", header("::ffff:192.0.2.1"), "::ffff:192.0.2.1"},
		{"X-Real-IP", header("192.0.2.1", "192.0.2.2"), ""},
		{"X-Real-IP", header("192.0.2.1, 192.0.2.2"), ""},
		{"X-Real-IP", header("192.0.2.1:80"), ""},
		{"X-Real-IP", header(), ""},
		{"X-Other", header("192.0.2.1"), ""},
		{"", header("192.0.2.1"), ""},
	} {
		var want netip.Addr
		if test.want != "" {
			want = netip.MustParseAddr(test.want)
		}
		s := New(nil, Options{AddressHeader: test.name})
		if got := s.clientAddress(test.header); got != want {
			t.Errorf("%s of %v: %v", test.name, test.header, got)
		}
	}
}

// raw sends bytes and returns the answer.
func (d *door) raw(t *testing.T, text string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	check(t, err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(callTimeout / 2))
	_, err = io.WriteString(conn, text)
	check(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(t, err)
	defer resp.Body.Close()
	return answer{resp.StatusCode, resp.Header, ""}
}

// A proxy that announces the client's body and does not send it gets its answer all the same.
func TestBodyIsNotAwaited(t *testing.T) {
	d := open(t, nil)
	lines := "POST /check HTTP/1.1\r\nHost: x\r\nAuthorization: " + own().Bearer("acme") + "\r\n"
	for _, body := range []string{"Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
		if a := d.raw(t, lines+body); a.status != 200 {
			t.Errorf("%q: %v", body, a)
		}
	}
}

func TestLargeHeaders(t *testing.T) {
	d := open(t, nil)
	a := d.raw(t, fmt.Sprintf("GET /check HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*MaxHeader)))
	if a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v", a)
	}
}

func TestStop(t *testing.T) {
	d := open(t, nil)
	d.ask(t, "GET", "/readyz") // its connection stays open
	d.stop()
	if _, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://")); err == nil {
		t.Error("it still listens")
	}
}

func TestPanic(t *testing.T) {
	d := open(t, nil)
	broken := &Server{nil, d.o}
	d.Server.gateway, broken.gateway = broken.gateway, d.Server.gateway
	defer func() { d.Server.gateway = broken.gateway }()
	if a := d.ask(t, "GET", "/check"); a.status != 500 || d.counts.panics != 1 {
		t.Errorf("%v, %d counted", a, d.counts.panics)
	}
}
