// Package outbound is the HTTP client for URLs that the administrator did not choose: those of webhooks and
// OpenID providers. It refuses addresses that only this machine or its network should reach.
package outbound

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/burnkey/burnkey/internal/networks"
)

// Limits of one call and of one host.
const (
	timeout      = 10 * time.Second
	maxBody      = 1 << 20  // bytes; reading more is an error
	maxHeader    = 64 << 10 // bytes
	maxPerHost   = 8        // connections; further calls wait, within their time
	maxIdle      = 64       // connections
	idleLifetime = time.Minute
)

// Errors of a call, for errors.Is.
var (
	// ErrAddress means that the host's address must not be called.
	ErrAddress = errors.New("the address is not public; --outbound-allow permits others")
	// ErrBody is returned by reading a response that is too long.
	ErrBody = fmt.Errorf("the answer is longer than %d bytes", maxBody)
	// ErrPlain means that the URL does not begin with https://.
	ErrPlain = errors.New("the URL must begin with https://")
)

// Options of a client.
type Options struct {
	// Allow lists networks that are allowed although they are not public.
	Allow networks.List
	// Local means that only this machine can reach this server. Loopback is then allowed, also without TLS.
	Local bool
	// Timeout limits one call, from resolving the name to the end of the body. The default is 10 s.
	Timeout time.Duration

	resolver *net.Resolver // nil: that of the system
}

// New returns a client that requires https, follows no redirects and uses no proxy, since a proxy would resolve
// names itself. It checks each resolved address when it connects. It is safe for concurrent use.
func New(o Options) *http.Client {
	if o.Timeout <= 0 {
		o.Timeout = timeout
	}
	if o.Local {
		loopback := networks.List{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		o.Allow = append(loopback, o.Allow...)
	}
	dialer := &net.Dialer{Timeout: o.Timeout, Control: o.control, Resolver: o.resolver}
	return &http.Client{
		Timeout: o.Timeout,
		Transport: guarded{o.Local, &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: o.Timeout, MaxResponseHeaderBytes: maxHeader,
			MaxConnsPerHost: maxPerHost, MaxIdleConnsPerHost: 1, MaxIdleConns: maxIdle, IdleConnTimeout: idleLifetime,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// control checks each address before the client connects to it.
func (o *Options) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if !isPublic(to.Addr()) && !o.Allow.Contains(to.Addr()) {
		return ErrAddress
	}
	return nil
}

// guarded limits the length of responses and refuses requests without TLS.
type guarded struct {
	local bool
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !(g.local && r.URL.Scheme == "http" && IsLoopback(r.URL)) {
		return nil, ErrPlain
	}
	answer, err := g.Transport.RoundTrip(r)
	if err == nil {
		answer.Body = body{http.MaxBytesReader(nil, answer.Body, maxBody)}
	}
	return answer, err
}

// body returns ErrBody in place of http.MaxBytesError, which callers would take for an error about a
// request to this server.
type body struct{ io.ReadCloser }

// Read implements io.Reader.
func (b body) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		err = ErrBody
	}
	return n, err
}

// IsLoopback reports whether a URL's host always means this machine.
func IsLoopback(u *url.URL) bool {
	host := u.Hostname()
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

var (
	// special lists the networks that are not globally reachable according to IANA's registries of
	// special-purpose addresses (RFC 6890), except private IPv4 networks (RFC 1918): producers run webhook
	// receivers and OpenID providers there.
	special = parsed(
		"0.0.0.0/8",       // this network
		"100.64.0.0/10",   // carriers' NAT (RFC 6598); some clouds' metadata
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local; clouds' metadata
		"192.0.0.0/24",    // protocols
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // 6to4 relays
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, and broadcast
		"2001::/23",       // protocols, including Teredo, which embeds an IPv4 address
		"2001:db8::/32",   // documentation
		"2002::/16",       // 6to4, which embeds an IPv4 address
		"3fff::/20",       // documentation
	)
	// unicast contains the IPv6 addresses that are assigned on the internet. It excludes loopback,
	// IPv4-compatible, link-local, unique local (the metadata services of some clouds) and multicast addresses.
	unicast = netip.MustParsePrefix("2000::/3")
	// nat64 contains the addresses that embed an IPv4 address in their last 4 bytes (RFC 6052). The prefix
	// for local use, 64:ff9b:1::/48, is not public.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func parsed(texts ...string) networks.List {
	list, err := networks.Parse(texts)
	if err != nil {
		panic(err)
	}
	return list
}

// isPublic reports whether an address is on the internet or in a private IPv4 network.
func isPublic(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		within := netip.AddrFrom4([4]byte(bytes[12:]))
		return isPublic(within) && !within.IsPrivate() // RFC 6052 section 3.1
	}
	return (addr.Is4() || unicast.Contains(addr)) && !special.Contains(addr)
}
