package extauthz

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/jwks"
)

// TestPlaces sends each case of gatewaytest.PlaceCases to an Envoy that verifies by itself, to one that asks a gateway, and to
// the middleware, without and with the key removed from headers.
func TestPlaces(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	o.Publish("acme", other())
	for _, set := range []struct {
		text    string
		schemes string // a regular expression for WWW-Authenticate
		strip   bool
		want    func(gatewaytest.PlaceCase) int
	}{
		{gatewaytest.PlacesA, `^Bearer.*, Basic realm="api"$`, false, func(c gatewaytest.PlaceCase) int { return c.A }},
		{gatewaytest.PlacesB, `^ApiKey( |$)`, true, func(c gatewaytest.PlaceCase) int { return c.B }},
	} {
		places, err := jwks.ParsePlaces(strings.Split(set.text, ",")...)
		check(t, err)
		modes := map[string]*front{
			"pull": envoyWith(t, envoy.Config{
				Server: o.URL, PublicURL: gatewaytest.PublicURL, Workspaces: []string{"acme"}, AnyAudience: true,
				Places: places, StripAuthorization: set.strip, Edge: envoy.Edge{Open: []string{"/open"}},
			}),
			"gateway":    envoyWith(t, envoy.Config{Gateways: []string{placesGateway(t, o, places, set.strip)}, Places: places}),
			"middleware": middleware(t, places, set.strip),
		}
		for mode, f := range modes {
			t.Run(mode+" "+set.text, func(t *testing.T) {
				t.Parallel()
				for _, c := range gatewaytest.PlaceCases() {
					want := set.want(c)
					if c.Joined && mode != "middleware" {
						want = 401
					}
					resp := f.wantPlace(t, c.For(own().Token(payload("acme")), other().Token(payload("acme"))), want, set.strip)
					wantChallenge(t, c.Name, resp, set.schemes)
				}
				if mode == "pull" {
					f.wantPlace(t, openCase, 200, set.strip)
				}
			})
		}
	}
}

// openCase is a request for a path that needs no key. The script moves what looks like a key, but the API must not see the result.
var openCase = gatewaytest.PlaceCase{
	Name: "an open path", Target: "/open", Received: "/open",
	Lines: []string{"X-Other: x", "Authorization: Bearer x"}, Holds: []string{"x-other"},
}

// placesGateway returns the address of a gateway.
func placesGateway(t *testing.T, o *gatewaytest.Origin, places jwks.Places, strip bool) string {
	t.Helper()
	with := options(o, "acme")
	with.Places, with.StripAuthorization = places, strip
	s := start(t, with, nil)
	eventually(t, "the keys are known", func() bool { return s.gateway.Ready() == nil })
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	return addr
}

// middleware returns an API that verifies keys by itself.
func middleware(t *testing.T, places jwks.Places, strip bool) *front {
	t.Helper()
	f := &front{}
	keys := map[jwks.KID]jwks.Key{own().KID(): own().Key, other().KID(): other().Key}
	m := &jwks.Middleware{
		Verifier: &jwks.Verifier{
			Keys:        jwks.KeyFunc(func(kid jwks.KID) (jwks.Key, bool) { key, ok := keys[kid]; return key, ok }),
			Issuer:      func(string) bool { return true },
			AnyAudience: true,
		},
		Realm: "api", Places: places, StripAuthorization: strip,
	}
	api := httptest.NewServer(m.Handler(http.HandlerFunc(f.record)))
	t.Cleanup(api.Close)
	f.addr = api.Listener.Addr().String()
	return f
}

func (f *front) record(_ http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r)
}

// wantChallenge checks that a refusal names each scheme by which a key can be sent. It has no error code if the request uses
// none of them (RFC 6750 section 3.1).
func wantChallenge(t *testing.T, name string, resp response, schemes string) {
	t.Helper()
	challenge := strings.Join(resp.Header.Values("WWW-Authenticate"), "\n")
	if refused := resp.StatusCode != 200; refused != regexp.MustCompile(schemes).MatchString(challenge) {
		t.Errorf("%s: %d with the challenge %q", name, resp.StatusCode, challenge)
	}
	if slices.Contains([]string{"no key", "Token", "Bearer, a tab"}, name) &&
		(strings.Contains(challenge, "error=") || !strings.Contains(resp.body, `"code":"missing"`)) {
		t.Errorf("%s: %s, %s", name, challenge, resp.body)
	}
}

// wantPlace sends a case, and checks the answer and what the API received.
func (f *front) wantPlace(t *testing.T, c gatewaytest.PlaceCase, want int, strip bool) response {
	t.Helper()
	before := f.reached()
	resp := f.send(t, "GET", c.Target, c.Lines...)
	if resp.StatusCode != want {
		t.Errorf("%s: %d, want %d: %s", c.Name, resp.StatusCode, want, resp.body)
	}
	code := "bad_request"
	if strings.Contains(c.Name, "two keys") || strings.Contains(c.Name, "joined keys") || c.Name == "a key and another text" {
		code = "two_keys"
	}
	if want == http.StatusBadRequest && !strings.Contains(resp.body, `"code":"`+code+`"`) {
		t.Errorf("%s: not the code %s: %s", c.Name, code, resp.body)
	}
	if passed := f.reached() > before; passed != (want == 200) {
		t.Errorf("%s: reached the API: %t", c.Name, passed)
	}
	if want != 200 || resp.StatusCode != 200 {
		return resp
	}
	f.mu.Lock()
	got := f.seen[len(f.seen)-1]
	f.mu.Unlock()
	if got.RequestURI != c.Received {
		t.Errorf("%s: the API receives %s, want %s", c.Name, got.RequestURI, c.Received)
	}
	for _, line := range c.Lines {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		if removed := got.Header.Get(name) == ""; removed != (strip && slices.Contains(c.Holds, name)) {
			t.Errorf("%s: %s is removed: %t", c.Name, name, removed)
		}
	}
	if got.Header.Get("X-Burnkey-Credential") != "" {
		t.Errorf("%s: the API receives the header between the filters", c.Name)
	}
	return resp
}
