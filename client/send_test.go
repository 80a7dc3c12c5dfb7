package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/burnkey/burnkey/client"
)

const aKey = `{"id":"1","kid":"k","status":"active","created_at":"2026-01-02T03:04:05Z","expires_at":null}`

func TestServerMustBeAURL(t *testing.T) {
	for _, server := range []string{
		"", "example.test", "ftp://example.test", "http://", "http://a b", "http://x?y=1", "http://x?", "http://x#y",
	} {
		if _, err := client.New(client.Options{Server: server}); !errors.Is(err, client.ErrServer) {
			t.Errorf("%q: %v", server, err)
		}
	}
}

// TestPasswordsAreNotPrinted: a Client has no use for a password in Server, and shows it nowhere.
func TestPasswordsAreNotPrinted(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, aKey) })
	c := connect(t, strings.Replace(server, "//", "//user:hidden@", 1), "k")
	_, err := c.Key(t.Context(), "acme", "x")
	must(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb+verb, c, c.Keys("acme", client.KeyFilter{})); strings.Contains(text, "hidden") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

// TestHeaders checks the headers of requests to a server with a path in its URL.
func TestHeaders(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Authorization": "Bearer k", "User-Agent": "test/1", "Idempotency-Key": "once", "Content-Type": "application/json",
		} {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
		if r.URL.EscapedPath() != "/below/v1/workspaces/a%2Fb/keys" {
			t.Errorf("the path is %s", r.URL.EscapedPath())
		}
		fmt.Fprint(w, `{"token":"x",`, aKey[1:])
	})
	_, err := connect(t, server+"/below/", "k").IssueKey(t.Context(), "a/b", client.NewKey{}, "once")
	must(t, err)
}

// TestPathsStayTheirCalls checks that an ID of dots is refused, since its request would go to another call.
func TestPathsStayTheirCalls(t *testing.T) {
	c := connect(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }), "k")
	for _, id := range []string{"", ".", ".."} {
		if _, err := c.RevokeKey(t.Context(), "acme", id); err == nil {
			t.Errorf("%q is no error", id)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	for status := 300; status < 309; status++ {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
		follows := func(o *client.Options) {
			o.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
		}
		_, err := connect(t, server, "k", follows).Key(t.Context(), "acme", "x")
		var p *client.Problem
		if !errors.As(err, &p) || p.Status != status {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestAnswersThatDoNotParse(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "HTML": "<html>", "a list": "[]", "null": "null", "incomplete": `{}`, "cut": aKey[:20], "two": aKey + aKey,
		"a member twice": `{"id":"2",` + aKey[1:], "wrong type": `{"id":1}`,
		"deep":     `{"claims":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "," + aKey[1:],
		"too long": strings.Repeat(" ", 32<<20) + aKey,
	} {
		c := connect(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }), "k")
		if key, err := c.Key(t.Context(), "acme", "x"); err == nil || !strings.HasPrefix(err.Error(), "invalid answer from the server: ") {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
	for _, text := range []string{
		`{}`, `{"keys":null,"next_cursor":null}`, `{"keys":[]}`, `{"next_cursor":null}`, `{"keys":[{}],"next_cursor":null}`,
		`{"keys":[],"next_cursor":1}`, `{"keys":[],"next_cursor":"same"}`,
	} {
		c := connect(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }), "k")
		var last error
		for _, last = range c.Keys("acme", client.KeyFilter{}).All(t.Context()) {
		}
		if last == nil {
			t.Errorf("%s: no error", text)
		}
	}
	for _, text := range []string{`{}`, `{"recorded":1,"unknown":0}`, `{"recorded":0}`} {
		c := connect(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }), "k")
		if _, err := c.ReportUsage(t.Context(), "acme", client.UsageReport{}); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

// TestProblemsOfOthers checks the errors for answers that a proxy in front of the server sends.
func TestProblemsOfOthers(t *testing.T) {
	for text, want := range map[string]string{
		"":       "the server answered 502 Bad Gateway",
		"<html>": "the server answered 502 Bad Gateway",
		`{"type":"t","title":"T","status":200,"detail":"D.","errors":[{"field":"f","detail":"g"}]}`: "D. (502 Bad Gateway)\n  f: g",
	} {
		c := connect(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, text)
		}), "k")
		if _, err := c.Key(t.Context(), "acme", "x"); err == nil || err.Error() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestSecretsHideThemselves prints results in many ways and checks that no token or link appears.
func TestSecretsHideThemselves(t *testing.T) {
	c := connect(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"token":"SECRET","url":"SECRET",`, aKey[1:])
	}), "k")
	key, err := c.IssueKey(t.Context(), "acme", client.NewKey{}, "")
	must(t, err)
	link, err := c.CreatePortalSession(t.Context(), "acme", client.NewPortalSession{})
	must(t, err)
	if key.Token.Reveal() != "SECRET" || link.URL.Reveal() != "SECRET" || !strings.Contains(key.Raw.Reveal(), "SECRET") {
		t.Fatal("the results have no secret")
	}
	var shown bytes.Buffer
	for _, value := range []any{*key, key, *link, link} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&shown, verb, value)
		}
		text, err := json.Marshal(value)
		must(t, err)
		shown.Write(text)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "value", value)
	}
	hex := fmt.Sprintf("%x", "SECRET")
	if text := shown.String(); strings.Contains(text, "SECRET") || strings.Contains(text, hex) {
		t.Errorf("shows a secret: %s", text)
	}
}

// flaky returns the answer to the n-th request.
type flaky func(n int32) (*http.Response, error)

// TestRetries checks the number of requests that each kind of call makes, and the waits between them.
func TestRetries(t *testing.T) {
	answers := func(status int, retryAfter string) flaky {
		return func(int32) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: http.NoBody}, nil
		}
	}
	fails := func(op string) flaky {
		return func(int32) (*http.Response, error) { return nil, &net.OpError{Op: op, Err: errors.New("x")} }
	}
	read := func(ctx context.Context, c *client.Client) error {
		_, err := c.Key(ctx, "acme", "x")
		return err
	}
	issue := func(idempotencyKey string) func(context.Context, *client.Client) error {
		return func(ctx context.Context, c *client.Client) error {
			_, err := c.IssueKey(ctx, "acme", client.NewKey{}, idempotencyKey)
			return err
		}
	}
	rotate := func(ctx context.Context, c *client.Client) error {
		_, err := c.RotateKey(ctx, "acme", "x", client.Rotation{}, "")
		return err
	}
	revokeMany := func(ctx context.Context, c *client.Client) error {
		_, err := c.RevokeKeys(ctx, "acme", client.Selection{Owner: "o"})
		return err
	}
	for name, test := range map[string]struct {
		call   func(context.Context, *client.Client) error
		answer flaky
		sent   int32
		took   time.Duration
	}{
		"503":                         {read, answers(503, "2"), 4, 6 * time.Second},
		"429":                         {read, answers(429, "1"), 4, 3 * time.Second},
		"503 without Retry-After":     {read, answers(503, ""), 1, 0},
		"429 for long":                {read, answers(429, "3600"), 1, 0},
		"500":                         {read, answers(500, "1"), 1, 0},
		"404":                         {read, answers(404, ""), 1, 0},
		"refused":                     {read, fails("dial"), 4, 700 * time.Millisecond},
		"broken off":                  {read, fails("read"), 1, 0},
		"issue":                       {issue(""), answers(503, "1"), 1, 0},
		"issue, refused":              {issue(""), fails("dial"), 1, 0},
		"issue with Idempotency-Key":  {issue("k"), answers(503, "1"), 4, 3 * time.Second},
		"rotate":                      {rotate, answers(503, "1"), 1, 0},
		"revocations":                 {revokeMany, answers(503, "1"), 1, 0},
		"the last attempt may do it":  {read, recovers(3), 4, 3 * time.Second},
		"the second attempt may, too": {read, recovers(1), 2, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { retries(t, test.call, test.answer, test.sent, test.took) })
		})
	}
}

// recovers answers the first n requests with 503, and later ones successfully.
func recovers(n int32) flaky {
	return func(i int32) (*http.Response, error) {
		if i > n {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(aKey))}, nil
		}
		return &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"1"}}, Body: http.NoBody}, nil
	}
}

type transport struct {
	sent   atomic.Int32
	answer flaky
}

func (f *transport) RoundTrip(*http.Request) (*http.Response, error) { return f.answer(f.sent.Add(1)) }

func retries(t *testing.T, call func(context.Context, *client.Client) error, answer flaky, sent int32, took time.Duration) {
	fake := &transport{answer: answer}
	c := connect(t, "http://x", "k", func(o *client.Options) { o.HTTP, o.Retries = &http.Client{Transport: fake}, 3 })
	began := time.Now()
	err := call(t.Context(), c)
	last, _ := answer(fake.sent.Load())
	if well := last != nil && last.StatusCode == 200; well != (err == nil) {
		t.Errorf("error %v", err)
	}
	if got := fake.sent.Load(); got != sent || time.Since(began) != took {
		t.Errorf("sent %d requests in %s, want %d in %s", got, time.Since(began), sent, took)
	}
}

// TestRetriesEndWithTheContext also checks that there are no retries by default.
func TestRetriesEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &transport{answer: recovers(9)}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		many := connect(t, "http://x", "k", func(o *client.Options) { o.HTTP, o.Retries = &http.Client{Transport: fake}, 3 })
		_, err := many.Key(ctx, "acme", "x")
		var p *client.Problem
		if !errors.As(err, &p) || p.RetryAfter != time.Second || fake.sent.Load() != 2 {
			t.Errorf("%d requests: %v", fake.sent.Load(), err)
		}
		fake.sent.Store(0)
		none := connect(t, "http://x", "k", func(o *client.Options) { o.HTTP = &http.Client{Transport: fake} })
		if _, err := none.Key(t.Context(), "acme", "x"); err == nil || fake.sent.Load() != 1 {
			t.Errorf("by default %d requests: %v", fake.sent.Load(), err)
		}
	})
}

func TestUnreachable(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := connect(t, server, "k").Key(t.Context(), "acme", "x")
	if unreachable := new(client.UnreachableError); !errors.As(err, &unreachable) || !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	failing := errors.New("no key")
	c := connect(t, server, "", func(o *client.Options) { o.Key = func() (string, error) { return "", failing } })
	if _, err := c.Key(t.Context(), "acme", "x"); !errors.Is(err, failing) {
		t.Errorf("got %v", err)
	}
}
