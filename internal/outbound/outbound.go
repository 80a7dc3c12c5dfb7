// Package outbound is the HTTP client for addresses chosen by others than the administrator: webhooks and
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
	// ErrBody means that the answer is too long; reading it returns this error.
	ErrBody = fmt.Errorf("the answer is longer than %d bytes", maxBody)
	// ErrPlain means that the URL does not begin with https://.
	ErrPlain = errors.New("the URL must begin with https://")
)

// Options of a client.
type Options struct {
	// Allow lists networks that may be called although they are not public.
	Allow networks.List
	// Local means that only this machine can reach this server: then loopback addresses may be
	// called, also without TLS.
	Local bool
	// Timeout of one call, from resolving the name to the end of the body. Default 10 s.
	Timeout time.Duration

	resolver *net.Resolver // nil: that of the system
}

// New returns a client. It requires https, checks each address when connecting to it, after the
// name was resolved, follows no redirects, and uses no proxy, since that would resolve names by
// itself. It is safe for concurrent use.
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

// control checks every address before a connection to it.
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

// guarded limits the length of answers and refuses requests without TLS.
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

// body returns an error of its own, since http.MaxBytesError would be mistaken for one about a
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

// IsLoopback reports whether a URL's host is this machine, by a name that can't mean another.
func IsLoopback(u *url.URL) bool {
	host := u.Hostname()
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
