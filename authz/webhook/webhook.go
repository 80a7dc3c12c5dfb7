// Package webhook posts messages to a URL as specified by Standard Webhooks
// (https://www.standardwebhooks.com, specification 1.0.0).
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/burnkey/burnkey/internal/outbound"
)

// maxDrain is how many bytes of an answer are read, so that the connection can be reused.
const maxDrain = 64 << 10

// Options of a Client. HTTP is required.
type Options struct {
	// HTTP sends the requests. It must not follow redirects: their targets are not validated, and messages may
	// be signed.
	HTTP *http.Client
	// Secret signs messages; nil: unsigned.
	Secret Secret
	// UserAgent is the User-Agent header. Default burnkey.
	UserAgent string
}

// Client posts messages. It is safe for concurrent use.
type Client struct {
	http   *http.Client
	secret Secret
	agent  string
}

// New returns a Client.
func New(o Options) *Client {
	return &Client{secret: o.Secret, agent: cmp.Or(o.UserAgent, "burnkey"), http: o.HTTP}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is the reason why a message was not accepted. It does not name the receiver.
type Error struct {
	Reason string
	Status int // of the answer; 0: no answer
}

func (e *Error) Error() string { return e.Reason }

// Send posts a message. A message keeps its id when it is sent again; at is the time of this attempt. Any
// answer except 2xx is an error. All errors are *Error.
func (c *Client) Send(ctx context.Context, url, id string, at time.Time, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return &Error{Reason: "the URL is invalid"}
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	request.Header = http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {c.agent},
		"Webhook-Id": {id}, "Webhook-Timestamp": {stamp},
	}
	if c.secret != nil {
		request.Header.Set("Webhook-Signature", c.secret.sign(id, stamp, body))
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return &Error{Reason: reason(err)}
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxDrain) // it was accepted, even if this fails
	switch {
	case answer.StatusCode/100 == 2:
		return nil
	case answer.StatusCode/100 == 3:
		return &Error{fmt.Sprintf("it answered %d, and redirects are not followed", answer.StatusCode), answer.StatusCode}
	default:
		return &Error{fmt.Sprintf("it answered %d", answer.StatusCode), answer.StatusCode}
	}
}

// reason describes an error without its own message, which contains the URL, hosts and addresses.
func reason(err error) string {
	var (
		timeout net.Error
		name    *net.DNSError
		dial    *net.OpError
	)
	switch {
	case errors.Is(err, outbound.ErrAddress):
		return outbound.ErrAddress.Error()
	case errors.Is(err, outbound.ErrPlain):
		return outbound.ErrPlain.Error()
	case errors.Is(err, context.Canceled):
		return "it was stopped"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it did not answer in time"
	case errors.As(err, &name):
		return "its name can't be resolved"
	case errors.As(err, &dial) && dial.Op == "dial":
		return "it can't be connected to"
	case isTLS(err):
		return "TLS failed"
	default:
		return "the connection failed"
	}
}

// isTLS reports whether an error comes from TLS: an untrusted certificate, an alert of the receiver, or an
// answer that is not TLS.
func isTLS(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		header      tls.RecordHeaderError
		alert       tls.AlertError
	)
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &certificate) || errors.As(err, &header) || errors.As(err, &alert)
}
