// Package client calls the management API of a Burnkey server. A method is one call, with the types of the server's
// OpenAPI document; a test holds both to each other.
//
// An answer other than success is a *Problem. Redirects are not followed, since they would carry the management key to
// another address. An answer that is too long, incomplete or not the expected JSON is an error.
package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const timeout = 2 * time.Minute // issuing a key may wait for its turn

// ErrServer is the error for an invalid Options.Server.
var ErrServer = errors.New("must be http(s)://HOST[:PORT]")

// Options of a Client. Server and Key are required.
type Options struct {
	// Server is the base URL of the server.
	Server string
	// Key returns the management key. It is called for each request, so that a key can be replaced.
	Key func() (string, error)
	// HTTP sends the requests; its CheckRedirect is ignored. Default: a client with a timeout of two minutes.
	HTTP *http.Client
	// UserAgent is the header of that name. Default: Go's.
	UserAgent string
	// Retries is how often a request is repeated that is safe to repeat: after 429 or 503 with Retry-After, or if no
	// connection could be made. Default: never.
	Retries int
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	o    Options
	base string
	http http.Client
}

// New returns a Client, or ErrServer. It sends nothing.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.Server, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, ErrServer
	}
	c := &Client{o: o, base: base.String(), http: http.Client{Timeout: timeout}}
	if o.HTTP != nil {
		c.http = *o.HTTP
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// UnreachableError says that a request got no answer. The server may have acted on it all the same.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }

// Secret is a text that does not print itself: a link, or an answer, which may contain a token.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// Format hides the text under every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// MarshalText hides the text from JSON and logs.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
