// Package client calls the management API of a Burnkey server. Each method makes one call. A test compares the types with
// the server's OpenAPI document.
//
// An answer other than success is a *Problem. Redirects are not followed, since they would carry the management key to
// another address. An answer that is too long, incomplete or not the expected JSON is an error.
package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const timeout = 2 * time.Minute // issuing a key may wait for its turn

// ErrServer is returned by New for an invalid Options.Server.
var ErrServer = errors.New("must be http(s)://HOST[:PORT]")

// Options are the settings of a Client. Server and Key are required.
type Options struct {
	// Server is the base URL of the server.
	Server string
	// Key returns the management key. The Client calls it for each request, so that a key can be replaced.
	Key func() (string, error)
	// HTTP sends the requests; its CheckRedirect is ignored. Default: a client with a timeout of two minutes.
	HTTP *http.Client
	// UserAgent is the User-Agent header. Default: Go's.
	UserAgent string
	// Retries is how many times a request is repeated if that is safe: after 429 or 503 with Retry-After, or if no
	// connection could be made. Default: never.
	Retries int
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	o    Options
	http http.Client
}

// New returns a Client, or ErrServer. It does not contact the server.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.Server, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || strings.ContainsAny(o.Server, "?#") {
		return nil, ErrServer
	}
	base.User = nil // the management key takes its place, and a Client prints no password
	o.Server = base.String()
	c := &Client{o: o, http: http.Client{Timeout: timeout}}
	if o.HTTP != nil {
		c.http = *o.HTTP
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// Format prints only the server's address under every verb: the HTTP client can hold secrets, and changes during calls.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "client of "+c.o.Server) }

// UnreachableError means that a request got no answer. The server may still have executed the request.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }

// Secret is a string that is hidden when printed: a link, or an answer, which may contain a token.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// Format hides the text under every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// MarshalText hides the secret in JSON and logs.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Problem is an answer other than success (RFC 9457). A problem from elsewhere, such as a proxy, has no Detail.
type Problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	Errors []Fault `json:"errors"`
	// Code is the stable name of the kind of problem, such as idempotency_key_reused; Type is the address of a page about it.
	Code string `json:"code"`
	// KeyID is the key issued earlier with the same Idempotency-Key, or the successor of a rotated key.
	KeyID string `json:"key_id"`

	// RequestID identifies the request in the server's log.
	RequestID string `json:"-"`
	// RetryAfter is how long to wait before a retry, or 0 if the server does not say.
	RetryAfter time.Duration `json:"-"`
}

// Fault describes one invalid field of the input. Code is the stable name of the rule that it breaks, such as
// scope_not_offered; it is empty for other faults, such as a member of the wrong type.
type Fault struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error returns the detail and the status, then one line per fault.
func (p *Problem) Error() string {
	status := strconv.Itoa(p.Status) + " " + http.StatusText(p.Status)
	if p.Detail == "" {
		return "the server answered " + status
	}
	lines := []string{p.Detail + " (" + status + ")"}
	for _, fault := range p.Errors {
		lines = append(lines, "  "+fault.Field+": "+fault.Detail)
	}
	return strings.Join(lines, "\n")
}

// ProblemOf converts an answer other than success to a Problem. The answer's body is passed as text.
func ProblemOf(response *http.Response, text []byte) *Problem {
	p := new(Problem)
	if json.Unmarshal(text, p) != nil || p.Detail == "" {
		*p = Problem{Type: "about:blank", Title: http.StatusText(response.StatusCode)}
	}
	p.Status, p.RequestID = response.StatusCode, response.Header.Get("X-Request-Id")
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31); err == nil {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}
