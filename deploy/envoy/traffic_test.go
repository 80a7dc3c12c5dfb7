package envoy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

func serveAPI(t testing.TB) string {
	t.Helper()
	api := httptest.NewServer(envoytest.API())
	t.Cleanup(api.Close)
	t.Cleanup(api.CloseClientConnections) // first, since Close waits for streams
	return api.Listener.Addr().String()
}

// body returns the lines of a request's body.
func body(n int) []string {
	return []string{fmt.Sprintf("Content-Length: %d", n), "", strings.Repeat("x", n-2)} // send adds a line's end
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "acme-live-"} {
		t.Run("prefix "+prefix, func(t *testing.T) { testTraffic(t, prefix) })
	}
}

func testTraffic(t *testing.T, prefix string) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server, c.Upstream, c.Timeout, c.MaxBody = keys.url(), serveAPI(t), 4*time.Second, "256KiB"
	c.TokenPrefix, c.WebSockets = prefix, []string{"/ws"}
	second := envoy.Span(time.Second)
	c.Routes = []envoy.Route{
		{Path: "/events", Stream: true},
		{Path: "/silent", Stream: true, IdleTimeout: second},
		{Path: "/upload", MaxBody: "512KiB"},
		{Path: "/uploads", Stream: true},
	}
	g := startGateway(t, c, keys)
	key := bearer(prefix + k.token(t, claims(c.Issuer("acme"))))
	t.Run("answers", func(t *testing.T) {
		t.Parallel()
		if resp := g.get(t, "/events?seconds=4.6", key); resp.StatusCode != 200 || !strings.HasSuffix(resp.body, "data: end\n\n") {
			t.Errorf("a stream that is longer than --timeout: %d %q", resp.StatusCode, resp.body)
		}
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		if resp := g.get(t, "/slow", key); resp.StatusCode != 504 {
			t.Errorf("%d %q", resp.StatusCode, resp.body)
		}
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		_, err := g.try(t, "GET", "/silent", key)
		if took := time.Since(start); err == nil || took < 900*time.Millisecond || took > 20*time.Second {
			t.Errorf("a stream without events ends after %s: %v", took, err)
		}
	})
	t.Run("bodies", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			target  string
			n, want int
		}{
			{"/", 256 << 10, 200}, {"/", 256<<10 + 1, 413}, {"/upload", 512 << 10, 200}, {"/upload", 512<<10 + 1, 413}, {"/uploads", 1 << 20, 200},
		} {
			resp := g.send(t, "POST", tt.target, append([]string{key}, body(tt.n)...)...)
			if resp.StatusCode != tt.want || tt.want == 200 && resp.body != fmt.Sprint(tt.n) || tt.want == 413 &&
				(!strings.Contains(resp.body, `"code":"body_too_large"`) || resp.Header.Get("Content-Type") != "application/problem+json") {
				t.Errorf("%s, %d bytes: %d %v %s", tt.target, tt.n, resp.StatusCode, resp.Header, resp.body)
			}
		}
		chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0", 263_000, strings.Repeat("x", 263_000))
		if resp := g.send(t, "POST", "/", key, chunked); resp.StatusCode != 413 {
			t.Errorf("a chunked body: %d", resp.StatusCode)
		}
		if resp := g.send(t, "POST", "/", body(300_000)...); resp.StatusCode != 401 {
			t.Errorf("without a key: %d", resp.StatusCode)
		}
	})
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			target, key string
			want        int
		}{{"/ws", key, 101}, {"/ws", "Accept: */*", 401}, {"/events", key, 403}, {"/", key, 403}} {
			if status, text := g.upgrade(t, tt.target, tt.key); status != tt.want || tt.want == 101 && text != "\x81\x05hello" {
				t.Errorf("%s: %d %q", tt.target, status, text)
			}
		}
	})
}

// upgrade asks for a WebSocket, and returns the status and the first frame.
func (g *gateway) upgrade(t *testing.T, target, line string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n\r\n", target, line)
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 7)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if _, err := io.ReadFull(from, frame); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, string(frame)
}

// writeTLS writes a server's certificate and key for Envoy.
func writeTLS(t *testing.T, server *httptest.Server) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	own := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TLS and HTTP/2 on both sides: a certificate for another name is refused.
func TestTLS(t *testing.T) {
	t.Parallel()
	api := httptest.NewUnstartedServer(envoytest.API())
	api.EnableHTTP2 = true
	api.StartTLS()
	t.Cleanup(api.Close)
	cert, key := writeTLS(t, api) // for 127.0.0.1 and example.com
	for name, want := range map[string]int{"": 200, "example.com": 200, "other.example": 503} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, k := newKeyServer(t), newKey(t)
			keys.publish("acme", k)
			c := oneSecond
			c.Server, c.Upstream, c.TLSCert, c.TLSKey = keys.url(), api.Listener.Addr().String(), cert, key
			c.UpstreamTLS, c.UpstreamCA, c.UpstreamName, c.UpstreamHTTP2 = true, cert, name, true
			g := startGateway(t, c, keys)
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig:   api.Client().Transport.(*http.Transport).TLSClientConfig,
				ForceAttemptHTTP2: true, DisableKeepAlives: true,
			}}
			req, _ := http.NewRequest("GET", "https://"+g.addr+"/", bytes.NewReader(nil))
			req.Header.Set("Authorization", "Bearer "+k.token(t, claims(c.Issuer("acme"))))
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			h := resp.Header
			if resp.StatusCode != want || resp.ProtoMajor != 2 || resp.TLS.Version < tls.VersionTLS12 ||
				want == 200 && (h.Get("X-Protocol") != "HTTP/2.0" || h.Get("X-Server-Name") != name) {
				t.Errorf("%d %s %v", resp.StatusCode, resp.Proto, h)
			}
		})
	}
}

func TestTrafficFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flag string
		edit func(*envoy.Config)
	}{
		{"", func(c *envoy.Config) { c.Timeout, c.IdleTimeout, c.MaxBody = time.Second, envoy.MaxTimeout, "64MiB" }},
		{"timeout", func(c *envoy.Config) { c.Timeout = time.Millisecond }},
		{"timeout", func(c *envoy.Config) { c.Timeout = -time.Second }},
		{"timeout", func(c *envoy.Config) { c.Timeout = envoy.MaxTimeout + time.Second }},
		{"idle-timeout", func(c *envoy.Config) { c.IdleTimeout = 1500 * time.Millisecond }},
		{"max-body", func(c *envoy.Config) { c.MaxBody = "262143" }},
		{"max-body", func(c *envoy.Config) { c.MaxBody = "65MiB" }},
		{"max-body", func(c *envoy.Config) { c.MaxBody = "999999999MiB" }},
		{"max-body", func(c *envoy.Config) { c.MaxBody = "1MB" }},
		{"websocket", func(c *envoy.Config) { c.WebSockets = []string{"ws"} }},
		{"routes", func(c *envoy.Config) { c.WebSockets, c.Open = []string{"/ws"}, []string{"GET,POST /ws", "/ws"} }},
		{"routes", func(c *envoy.Config) {
			c.Routes = []envoy.Route{{Path: "/a", Stream: true, Timeout: envoy.Span(time.Second)}}
		}},
		{"routes", func(c *envoy.Config) { c.Routes = []envoy.Route{{Path: "/a", WebSocket: true, MaxBody: "1MiB"}} }},
		{"routes", func(c *envoy.Config) { c.Routes = []envoy.Route{{Path: "/a", MaxBody: "x"}} }},
		{"tls-key", func(c *envoy.Config) { c.TLSCert = "/c" }},
		{"tls-cert", func(c *envoy.Config) { c.TLSKey = "/k" }},
		{"tls-cert", func(c *envoy.Config) { c.TLSCert, c.TLSKey = "c", "/k" }},
		{"upstream-ca", func(c *envoy.Config) { c.UpstreamCA = "/ca" }},
		{"upstream-ca", func(c *envoy.Config) { c.UpstreamTLS, c.UpstreamCA = true, "ca" }},
		{"upstream-name", func(c *envoy.Config) { c.UpstreamName = "a" }},
		{"upstream-name", func(c *envoy.Config) { c.UpstreamTLS, c.UpstreamName = true, "a b" }},
	} {
		c := valid()
		tt.edit(&c)
		flag, bad := "", new(envoy.FieldError)
		if errors.As(c.Validate(), &bad) {
			flag = bad.Flag
		}
		if flag != tt.flag {
			t.Errorf("%+v: refused by %q, want %q", c.Edge, flag, tt.flag)
		}
	}
	c := valid()
	c.TLSCert, c.TLSKey = "/c", "/k"
	if err := envoy.Filter(io.Discard, c); err == nil || !strings.HasPrefix(err.Error(), "--tls-cert: has no effect with --format filter") {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"timeout: 5":            "must be whole seconds such as 30s",
		"timeout: 1ms":          "must be whole seconds",
		"idle_timeout: 25h":     "must be whole seconds",
		"timeout: {}":           "must be whole seconds",
		"stream: x":             "must be true or false",
		"max_body: [1]":         "must be",
		"timeout: 1s, a: false": "field a is unknown",
	} {
		_, err := envoy.ReadRoutes(strings.NewReader("routes: [{path: /a, "+text+"}]"), "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
