package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

var (
	errSilent   = errors.New("the server did not answer, or stopped sending")
	errRedirect = errors.New("redirects to another host are not followed")
)

// pings detect a dead HTTP/2 connection, which all requests share. HTTP/1 needs no pings, since each failed
// request closes its own connection.
var pings = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}

// NewClient returns an HTTP client with the settings that a Follower uses by default. Several Followers can
// share it. It limits the time of everything except the body, and follows redirects only within the same
// host. Its Transport is an *http.Transport.
func NewClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, HTTP2: pings,
		MaxIdleConns: 4, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: defaultLimits.head,
		DisableCompression: true, // requested explicitly where it is wanted
	}
	return &http.Client{Transport: transport, CheckRedirect: sameHost}
}

func sameHost(req *http.Request, via []*http.Request) error {
	if first := via[0].URL; req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return errRedirect
	}
	if len(via) >= 5 {
		return errors.New("more than 5 redirects")
	}
	return nil
}

// statusError is a response with an unexpected status.
type statusError struct {
	code       int
	what       string
	retryAfter time.Duration
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: the server answered %d", e.what, e.code)
}

func newStatusError(what string, resp *http.Response, limit time.Duration) *statusError {
	e := &statusError{code: resp.StatusCode, what: what}
	after := resp.Header.Get("Retry-After")
	if pause, ok := seconds(after); ok {
		e.retryAfter = min(pause, limit)
	} else if at, err := http.ParseTime(after); err == nil {
		e.retryAfter = max(0, min(time.Until(at), limit))
	}
	return e
}

// seconds parses a number of seconds, as in the header Age (RFC 9111 section 5.1), up to 136 years.
func seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(s, 10, 32) // the limit if s is higher
	return time.Duration(n) * time.Second, err == nil || errors.Is(err, strconv.ErrRange)
}

// watchdog cancels a request if no data arrives within a time limit.
type watchdog struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// watch starts a watchdog, which cancels after the given limit.
func watch(ctx context.Context, limit time.Duration) *watchdog {
	w := new(watchdog)
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(limit, func() { w.cancel(errSilent) })
	return w
}

func (w *watchdog) allow(limit time.Duration) { w.timer.Reset(limit) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// explain returns errSilent if the watchdog cancelled the request, and err otherwise.
func (w *watchdog) explain(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), errSilent) {
		return errSilent
	}
	return err
}

// watched is a response body that renews the time limit when data arrives.
type watched struct {
	io.Reader
	dog   *watchdog
	limit time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.dog.allow(w.limit)
	}
	return n, err
}
