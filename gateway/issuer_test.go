package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func isMetadata(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, metadataPath) }

// compareOften runs a Gateway that compares the issuers continuously.
func compareOften(t *testing.T, o Options) (*Gateway, func()) {
	t.Helper()
	g, err := New(o)
	check(t, err)
	g.issuerEvery = 5 * time.Millisecond
	return g, run(t, g)
}

func TestWrongPublicURL(t *testing.T) {
	log := new(testkit.Log)
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	with := options(o, "acme")
	with.PublicURL, with.Log = "", log.Logger() // that is, the server's URL
	g, _ := compareOften(t, with)
	var wrong *IssuerError
	eventually(t, "it is not ready", func() bool { return errors.As(g.Ready(), &wrong) })
	want := IssuerError{o.URL + jwks.IssuerPath + "acme", gatewaytest.PublicURL + jwks.IssuerPath + "acme", gatewaytest.PublicURL}
	if *wrong != want {
		t.Errorf("%+v, want %+v", *wrong, want)
	}
	wait(t, g, own().Bearer("acme"), 401)
	eventually(t, "it is logged", func() bool { return strings.Contains(log.String(), "level=ERROR") })
	for _, word := range []string{want.Expected, want.Published, "--public-url to", gatewaytest.PublicURL} {
		if !strings.Contains(log.String(), word) || !strings.Contains(wrong.Error(), word) {
			t.Errorf("%s is not in %q, or not in\n%s", word, wrong, log)
		}
	}
	if !g.Stats().WrongIssuer {
		t.Error("the statistics do not say so")
	}
	// The server restarts with the public URL that the Gateway expects.
	o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
		if isMetadata(r) {
			_, _ = io.WriteString(w, `{"issuer":"`+want.Expected+`"}`)
		}
		return isMetadata(r)
	})
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
	eventually(t, "it is logged", func() bool { return strings.Contains(log.String(), "recovered: unexpected issuer") })
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log)
	}
}

// An answer without an issuer is not a mismatch. The Gateway asks again.
func TestIssuerIsNotToBeHad(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"an gatewaytest.Outage": func(w http.ResponseWriter) { w.WriteHeader(503) },
		"not served":            func(w http.ResponseWriter) { w.WriteHeader(404) },
		"no JSON":               func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") },
		"no issuer":             func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{}`) },
		"a number":              func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"issuer":1}`) },
		"too long": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"issuer":"x"`+strings.Repeat(" ", metadataMax)+`}`)
		},
		"another place": func(w http.ResponseWriter) { w.Header().Set("Location", "https://other.invalid/"); w.WriteHeader(302) },
	} {
		t.Run(name, func(t *testing.T) {
			o := gatewaytest.NewOrigin(t, "acme")
			o.Publish("acme", own())
			var asked atomic.Int64
			o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
				if !isMetadata(r) {
					return false
				}
				asked.Add(1)
				answer(w)
				return true
			})
			g, _ := compareOften(t, options(o, "acme"))
			eventually(t, "it is asked again", func() bool { return asked.Load() > 1 })
			wait(t, g, own().Bearer("acme"), 200)
			eventually(t, "it is ready", func() bool { return g.Ready() == nil })
		})
	}
}

// A mismatch is still reported while the server is down.
func TestIssuerWhileTheServerIsDown(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	with := options(o, "acme", "beta")
	with.StateDir, with.PublicURL = t.TempDir(), "https://wrong.example.com"
	g, stop := compareOften(t, with)
	wrong := func() bool { return errors.As(g.Ready(), new(*IssuerError)) }
	eventually(t, "it is wrong", func() bool { return wrong() && g.started.Load() })
	o.SetHook(gatewaytest.Outage)
	asked := g.wrongIssuer.Load()
	if _, err := g.compareIssuer(t.Context()); err == nil || asked == nil || !wrong() {
		t.Errorf("%v, and then %v", err, g.Ready())
	}
	stop()
	// The Gateway starts with keys from disk, which do not reveal the mismatch.
	g, _ = compareOften(t, with)
	eventually(t, "it is ready", func() bool { return g.Ready() == nil })
}

func TestIssuerError(t *testing.T) {
	for _, test := range []struct{ published, word string }{
		{"https://a/v1/auth/oauth/acme", `--public-url to "https://a"`},
		{"https://a/b/v1/auth/oauth/acme", `--public-url to "https://a/b"`},
		{"https://login.example.com/", "is --server a Burnkey server?"},
		{"https://a/v1/auth/oauth/other", "is --server a Burnkey server?"},
		{"a\nb", `"a\nb"`},
	} {
		err := newIssuerError("https://x/v1/auth/oauth/acme", test.published, "acme")
		if !strings.Contains(err.Error(), test.word) {
			t.Errorf("%q: %v", test.published, err)
		}
	}
	if err := newIssuerError("x", strings.Repeat("a", 10<<10), "acme"); len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
	if errors.Is(&IssuerError{}, jwks.ErrNotReady) {
		t.Error("it passes for another error")
	}
}
