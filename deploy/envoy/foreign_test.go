package envoy_test

import (
	"net/http"
	"strings"
	"testing"
)

// foreign routes and filters are parts that producers may add to the configuration: routes that Envoy answers
// itself, and RBAC filters before and after Burnkey's filters.
const (
	foreignRoutes = `routes:
              - match: {path: /403}
                direct_response: {status: 403, body: {inline_string: "Not in your plan."}}
              - match: {path: /401}
                direct_response: {status: 401, body: {inline_string: "Sign in."}}
              - match: {path: /200}
                direct_response: {status: 200, body: {inline_string: "pong"}}
`
	foreignFilter = `
          - name: NAME
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: ACTION
                policies:
                  own:
                    permissions: [PERMISSION]
                    principals: [{any: true}]
`
)

// withForeign adds the foreign parts. One RBAC filter denies by a matching policy, the other because no policy
// allows the request.
func withForeign(t *testing.T) func(string) string {
	first := strings.NewReplacer("NAME", "own.first", "ACTION", "DENY", "PERMISSION", "{url_path: {path: {exact: /first}}}")
	last := strings.NewReplacer("NAME", "own.last", "ACTION", "ALLOW", "PERMISSION", "{not_rule: {url_path: {path: {exact: /last}}}}")
	return func(s string) string {
		s = replaceOnce(t, "routes:\n", foreignRoutes)(s)
		s = replaceOnce(t, "http_filters:\n", "http_filters:"+first.Replace(foreignFilter))(s)
		const router = "\n          - name: envoy.filters.http.router\n"
		return replaceOnce(t, router, last.Replace(foreignFilter)+router)(s)
	}
}

// Responses other than refusals by Burnkey's filters remain unchanged. If a response wrongly called the key
// invalid, a client would discard the key.
func TestForeignRefusalsStay(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", k)
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys, withForeign(t))
	good := bearer(k.token(t, claims(c.Issuer("acme"))))
	for name, tt := range map[string]struct {
		target  string
		headers []string
		status  int
		body    string
	}{
		"an upgrade":               {"/", []string{good, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"}, 403, ""},
		"a direct_response of 403": {"/403", []string{good}, 403, "Not in your plan."},
		"a direct_response of 401": {"/401", []string{good}, 401, "Sign in."},
		"a direct_response of 200": {"/200", []string{good}, 200, "pong"},
		"an RBAC before ours":      {"/first", []string{good}, 403, "RBAC: access denied"},
		"one before ours, no key":  {"/first", nil, 403, "RBAC: access denied"},
		"an RBAC after ours":       {"/last", []string{good}, 403, "RBAC: access denied"},
		"the API's 403":            {"/api/403", []string{good}, 403, "no"},
		"the API's 401":            {"/api/401", []string{good}, 401, "no"},
	} {
		resp := g.get(t, tt.target, tt.headers...)
		if resp.StatusCode != tt.status || resp.body != tt.body || resp.Header.Get("WWW-Authenticate") != "" ||
			strings.Contains(resp.Header.Get("Content-Type"), "problem") {
			t.Errorf("%s: %d %v\n%s", name, resp.StatusCode, resp.Header, resp.body)
		}
	}
	for _, target := range []string{"/", "/403", "/last"} {
		checkRefusal(t, g.get(t, target, bearer(newKey(t).token(t, claims(c.Issuer("acme"))))), true)
		checkRefusal(t, g.get(t, target), false)
	}
	if log := g.Log(); log != "" {
		t.Errorf("envoy warns:\n%s", log)
	}
}

// refuse is an API that answers 403 and 401 by path.
func refuse(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/403":
		w.WriteHeader(http.StatusForbidden)
	case "/api/401":
		w.WriteHeader(http.StatusUnauthorized)
	default:
		return
	}
	_, _ = w.Write([]byte("no"))
}
