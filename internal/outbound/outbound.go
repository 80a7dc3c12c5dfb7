// Package outbound is the HTTP client for addresses that others than the administrator
// choose: webhooks and OpenID providers. It reaches nothing that only this machine or its
// network should.
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

// Bounds of what one call may take, and one host.
const (
	timeout      = 10 * time.Second
	maxBody      = 1 << 20  // bytes; reading on is an error
	maxHeader    = 64 << 10 // bytes
	maxPerHost   = 8        // connections; further calls wait, within their time
	maxIdle      = 64       // connections
	idleLifetime = time.Minute
)

// Errors of a call, for errors.Is.
var (
	// ErrAddress: the host's address is not one that may be called.
	ErrAddress = errors.New("its address is not public; --outbound-allow permits others")
	// ErrBody: the answer is too long. Reading it returns this.
	ErrBody = fmt.Errorf("its answer is longer than %d bytes", maxBody)
	// ErrPlain: the URL does not begin with https://.
	ErrPlain = errors.New("it must be called by https")
)

// Options of a client.
type Options struct {
	// Allow has networks that may be called although they are not public.
	Allow networks.List
	// Local says that this server is itself reached on this machine alone: what listens
	// here may then be called, also without TLS.
	Local bool
	// Timeout of one call, from the name's look-up to the end of the body. Default 10 s.
	Timeout time.Duration

	resolver *net.Resolver // nil: the system's
}

// New returns a client. It calls by https alone, judges each address at the moment it
// connects to it, after the name was resolved, follows no redirect, and uses no proxy, which
// would resolve names by itself. It is safe for concurrent use.
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

// control sees every address that is about to be connected to.
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

// guarded bounds answers, and keeps requests from leaving without TLS.
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

// body has an error of its own, since net/http's is taken for one of a request to us.
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

// IsLoopback reports whether a URL's host is this machine by the names that mean nothing else.
func IsLoopback(u *url.URL) bool {
	host := u.Hostname()
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
