package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/internal/networks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestControl(t *testing.T) {
	o := Options{Allow: parsed("fd12::/16", "127.0.0.9")}
	for address, ok := range map[string]bool{
		"127.0.0.1:443": false, "127.9.9.9:443": false, "[::1]:443": false, "[::ffff:127.0.0.1]:443": false,
		"0.0.0.0:443": false, "0.1.2.3:443": false, "[::]:443": false,
		"169.254.169.254:80": false, "[fe80::1]:443": false, "[fe80::1%eth0]:443": false, "224.0.0.1:443": false, "255.255.255.255:443": false,
		"240.0.0.1:443": false, "[ff02::1]:443": false, "100.64.0.1:443": false, "100.100.100.200:80": false, "192.0.0.192:80": false,
		"192.0.2.1:443": false, "198.18.0.1:443": false, "[2001:db8::1]:443": false, "[3fff::1]:443": false,
		"[::127.0.0.1]:443": false, "[::ffff:0:127.0.0.1]:443": false, "[::ffff:169.254.169.254]:80": false,
		"[64:ff9b::127.0.0.1]:443": false, "[64:ff9b::169.254.169.254]:443": false, "[64:ff9b::10.0.0.1]:443": false,
		"[64:ff9b:1::8.8.8.8]:443": false,
		"[2002:7f00:1::]:443":      false, "[2002:808:808::1]:443": false, "[2001::1]:443": false, "[2001:0:1:2::3]:443": false,
		"[fc00::1]:443": false, "[fd00:ec2::254]:80": false, "[fec0::1]:443": false, "[5f00::1]:443": false, "nonsense": false,

		"8.8.8.8:443": true, "10.1.2.3:443": true, "172.16.0.1:443": true, "192.168.0.1:443": true, "[::ffff:8.8.8.8]:443": true,
		"[64:ff9b::8.8.8.8]:443": true, "[2606:4700::1111]:443": true, "[2001:4860:4860::8888]:443": true,
		"[fd12::1]:443": true, "127.0.0.9:443": true, "[::ffff:127.0.0.9]:443": true,
	} {
		if err := o.control("tcp", address, nil); (err == nil) != ok || err != nil && !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// receiver starts an https server on a loopback address, and returns a client that trusts it.
func receiver(t *testing.T, ip string, o Options, h http.Handler) (c *http.Client, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Skip(err) // IPv6 may be missing
	}
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = listener
	s.StartTLS()
	t.Cleanup(s.Close)
	c = New(o)
	transport := c.Transport.(guarded).Transport
	transport.TLSClientConfig = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
	t.Cleanup(transport.CloseIdleConnections)
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return c, port
}

func get(c *http.Client, url string) (body string, err error) {
	answer, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// TestSpellings checks that the client refuses every spelling of this machine's address that works without
// the checks.
func TestSpellings(t *testing.T) {
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") })
	c, port := receiver(t, "127.0.0.1", Options{}, h)
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "[::]", "[::ffff:7f00:1]"} {
		if _, err := get(c, "https://"+host+":"+port); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"0x7f.1", "2130706433", "127.1", "017700000001"} { // Go treats these as names
		if _, err := get(c, "https://"+host+":"+port); err == nil {
			t.Errorf("%s: no error", host)
		}
	}
	if _, err := get(c, "http://8.8.8.8/"); !errors.Is(err, ErrPlain) {
		t.Errorf("http: %v", err)
	}
}

func TestLocal(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	c := New(Options{Local: true})
	defer c.CloseIdleConnections()
	if _, err := get(c, plain.URL); err != nil {
		t.Error(err)
	}
	if _, err := get(c, "http://10.0.0.1/"); !errors.Is(err, ErrPlain) {
		t.Errorf("another machine by http: %v", err)
	}
	if _, err := get(c, "https://169.254.169.254/"); !errors.Is(err, ErrAddress) {
		t.Errorf("link-local: %v", err)
	}
}

func TestBounds(t *testing.T) {
	reached := false
	mux := http.NewServeMux()
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", maxBody+1))
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", maxHeader)) })
	mux.Handle("/redirect", http.RedirectHandler("/reached", http.StatusFound))
	mux.HandleFunc("/reached", func(http.ResponseWriter, *http.Request) { reached = true })
	c, port := receiver(t, "127.0.0.1", Options{Allow: parsed("127.0.0.1")}, mux)
	base := "https://127.0.0.1:" + port
	if _, err := get(c, base+"/long"); !errors.Is(err, ErrBody) {
		t.Errorf("a long body: %v", err)
	}
	if _, err := get(c, base+"/header"); err == nil {
		t.Error("a long header: no error")
	}
	if _, err := get(c, base+"/redirect"); err != nil || reached {
		t.Errorf("a redirect was followed: %v", err)
	}
}

// TestProxy checks that the client uses no proxy: a proxy would resolve names without a check.
func TestProxy(t *testing.T) {
	if New(Options{}).Transport.(guarded).Proxy != nil {
		t.Error("the environment chooses a proxy")
	}
}

// TestRebinding changes the address of a name after its first lookup.
func TestRebinding(t *testing.T) {
	var asked atomic.Int32
	resolver := nameServer(t, func() netip.Addr {
		if asked.Add(1) == 1 {
			return netip.MustParseAddr("127.0.0.2")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	answer := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, text)
		})
	}
	allowed := Options{Allow: networks.List{netip.MustParsePrefix("127.0.0.2/32")}, resolver: resolver}
	c, port := receiver(t, "127.0.0.2", allowed, answer("first"))
	if got, err := get(c, "https://rebound.test:"+port); got != "first" || err != nil {
		t.Fatalf("before: %q, %v", got, err)
	}
	if got, err := get(c, "https://rebound.test:"+port); !errors.Is(err, ErrAddress) {
		t.Errorf("after: %q, %v", got, err)
	}
}

// nameServer answers a query for an IPv4 address with the result of the function address, and any other
// query with no records (RFC 1035 section 4.1).
func nameServer(t *testing.T, address func() netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		for message := make([]byte, 512); ; {
			n, from, err := conn.ReadFrom(message)
			if err != nil {
				return
			}
			end := 12 // end of the question
			for end < n && message[end] != 0 {
				end += int(message[end]) + 1
			}
			end += 5
			reply := append([]byte(nil), message[:end]...)
			reply[2], reply[3] = 0x84, 0                // an authoritative answer
			copy(reply[6:12], []byte{0, 0, 0, 0, 0, 0}) // no records so far
			if reply[end-3] == 1 {                      // a question of type A
				reply[7] = 1
				ip := address().As4()
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				reply = append(reply, ip[:]...)
			}
			_, _ = conn.WriteTo(reply, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}
