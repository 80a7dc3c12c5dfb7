package extauthz

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// front is a real Envoy with the rendered configuration, in front of an API. Envoy asks a Gateway.
type front struct {
	*envoytest.Envoy
	addr      string
	accessLog string

	mu   sync.Mutex
	seen []*http.Request
}

// envoyBefore starts an Envoy that asks the Gateway. The edits change its configuration.
func envoyBefore(t *testing.T, gateway string, edits ...func(string) string) *front {
	t.Helper()
	return envoyBeforeAll(t, []string{gateway}, edits...)
}

func envoyBeforeAll(t *testing.T, gateways []string, edits ...func(string) string) *front {
	t.Helper()
	return envoyWith(t, envoy.Config{Gateways: gateways}, edits...)
}

// envoyWith starts a patient Envoy with this configuration, and with addresses of the test if it has none.
func envoyWith(t *testing.T, c envoy.Config, edits ...func(string) string) *front {
	t.Helper()
	return envoyAsRendered(t, c, append([]func(string) string{envoytest.Patient}, edits...)...)
}

// envoyAsRendered is envoyWith with the times of users' Envoys.
func envoyAsRendered(t *testing.T, c envoy.Config, edits ...func(string) string) *front {
	t.Helper()
	envoytest.Binary(t) // skips before anything is started
	f := &front{addr: envoytest.FreeAddr(t), accessLog: filepath.Join(t.TempDir(), "access.log")}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.seen = append(f.seen, r)
		if strings.HasPrefix(r.URL.Path, "/own") { // the other ext_authz service
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "no")
		}
	}))
	t.Cleanup(api.Close)
	var b strings.Builder
	c.Listen, c.Upstream, c.Admin = cmp.Or(c.Listen, f.addr), cmp.Or(c.Upstream, api.Listener.Addr().String()), envoytest.FreeAddr(t)
	check(t, envoy.Bootstrap(&b, c))
	const metadata = "%DYNAMIC_METADATA(envoy.filters.http.ext_authz"
	text := b.String()
	if !c.AccessLog {
		text = replaceOnce(t, "stat_prefix: burnkey\n", `stat_prefix: burnkey
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: `+f.accessLog+`
              log_format: {text_format_source: {inline_string: "%RESPONSE_CODE% `+metadata+`)% owner=`+metadata+`:owner)%\n"}}
`)(text)
	}
	for _, edit := range edits {
		text = edit(text)
	}
	f.Envoy = envoytest.Start(t, text)
	return f
}

// listenFor serves until the returned function is called.
func listenFor(t *testing.T, s *Server, addr string) (string, func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, time.Second) }()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

func replaceOnce(t *testing.T, from, to string) func(string) string {
	return func(s string) string {
		t.Helper()
		if strings.Count(s, from) != 1 {
			t.Fatalf("%q is not once in the configuration", from)
		}
		return strings.Replace(s, from, to, 1)
	}
}

type response struct {
	*http.Response
	body string
}

// send sends a request without normalizing it. The lines are headers.
func (f *front) send(t *testing.T, method, target string, lines ...string) response {
	t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	check(t, err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	lines = append([]string{"Host: api.example.com", "Connection: close"}, lines...)
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\n%s\r\n\r\n", method, target, strings.Join(lines, "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	check(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	return response{resp, string(body)}
}

func (f *front) code(t *testing.T, target string, lines ...string) int {
	t.Helper()
	return f.send(t, "GET", target, lines...).StatusCode
}

func (f *front) reached() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

func (f *front) last() http.Header {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[len(f.seen)-1].Header
}

func auth(p gatewaytest.Pair, payload string) string {
	return "Authorization: Bearer " + p.Token(payload)
}

func TestEnvoyAsks(t *testing.T) {
	s, o := follow(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr)
	good := auth(own(), payload("acme"))
	resp := f.send(t, "GET", "/v1/tiles?x=1", good)
	if resp.StatusCode != 200 {
		t.Fatalf("a good token gets %d: %s", resp.StatusCode, resp.body)
	}
	for name, want := range map[string]string{
		"X-Burnkey-Key-Id": "key-1", "X-Burnkey-Owner": "cust_1", "X-Burnkey-Workspace": "acme", "X-Burnkey-Scopes": "maps:read tiles:read",
		"X-Burnkey-Issuer": "", "Authorization": strings.TrimPrefix(good, "Authorization: "),
	} {
		if got := f.last().Get(name); got != want {
			t.Errorf("the API is told %s: %q, want %q", name, got, want)
		}
	}
	const foreign = "Ærøskøbing 北京"
	if code := f.code(t, "/", auth(own(), payload("acme", "cust_1", foreign))); code != 200 || f.last().Get("X-Burnkey-Owner") != foreign {
		t.Errorf("an owner in another script: %d, %q", code, f.last().Get("X-Burnkey-Owner"))
	}
	for _, scheme := range []string{"bearer ", "BEARER ", "Bearer   "} { // RFC 9110 section 11.1
		if code := f.code(t, "/", strings.Replace(good, "Bearer ", scheme, 1)); code != 200 {
			t.Errorf("%q gets %d", scheme, code)
		}
	}
	passed := f.reached()
	for _, test := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"no token", nil, 401},
		{"a tab", []string{strings.Replace(good, "Bearer ", "Bearer\t", 1)}, 401},
		{"a token twice, in lower case", []string{good, strings.ToLower(good[:22]) + good[22:]}, 401},
		{"garbage", []string{"Authorization: Bearer x"}, 401},
		{"a token twice", []string{good, good}, 401},
		{"a token and a garbage one", []string{good, "Authorization: Bearer x"}, 401},
		{"a garbage one and a token", []string{"Authorization: Basic x", good}, 401},
		{"another workspace's key", []string{auth(other(), payload("acme"))}, 401},
		{"expired", []string{auth(own(), payload("acme", `"iat":1`, `"iat":1,"exp":2`))}, 401},
		{"an underscore", []string{good, "x_burnkey_owner: admin"}, 400},
	} {
		if resp := f.send(t, "GET", "/", test.lines...); resp.StatusCode != test.want || f.reached() != passed {
			t.Errorf("%s: %d, %d reached the API", test.name, resp.StatusCode, f.reached()-passed)
		}
	}
	o.Change("acme", nil, own().KID())
	eventually(t, "it is revoked", func() bool { return f.code(t, "/", good) == 401 })
}

// The client receives a refusal with the Gateway's headers and body.
func TestEnvoyPassesTheRefusalOn(t *testing.T) {
	s, _ := follow(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr)
	resp := f.send(t, "GET", "/", auth(other(), payload("acme")))
	const detail = "The token was revoked or suspended, or is from another issuer."
	const challenge = `Bearer realm="api", error="invalid_token", error_description="` + detail + `"`
	if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != challenge ||
		resp.Header.Get("Content-Type") != "application/problem+json" ||
		len(resp.Header.Values("Content-Type")) != 1 || resp.Header.Get("Cache-Control") != "no-store" ||
		resp.body != string(jwks.InvalidToken(jwks.ErrUnknown).Problem(gatewaytest.PublicURL)) {
		t.Errorf("%d %v\n%s", resp.StatusCode, resp.Header, resp.body)
	}
	resp = f.send(t, "HEAD", "/", auth(other(), payload("acme")))
	if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != challenge || resp.body != "" {
		t.Errorf("HEAD: %d %v\n%s", resp.StatusCode, resp.Header, resp.body)
	}
	resp = f.send(t, "GET", "/")
	if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(resp.body, "A key is required") {
		t.Errorf("no token: %d %v\n%s", resp.StatusCode, resp.Header, resp.body)
	}
}

func TestEnvoyDropsWhatTheClientSays(t *testing.T) {
	s, _ := follow(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	lies := []string{
		"X-Burnkey-Owner: admin", "x-burnkey-key-id: 1", "X-BURNKEY-SCOPES: admin", "x-burnkey-workspace: beta",
		"x-burnkey-issuer: x", "x-burnkey-owner: twice", "X-HTTP-Method-Override: DELETE",
	}
	scopeless := auth(own(), payload("acme", `,"scope":"maps:read tiles:read"`, ""))
	honest := func(f *front, extra string) {
		t.Helper()
		if code := f.code(t, "/", append([]string{scopeless}, lies...)...); code != 200 {
			t.Fatalf("%d", code)
		}
		var names []string
		for name, values := range f.last() {
			if strings.HasPrefix(name, "X-Burnkey-") {
				names = append(names, name+"="+strings.Join(values, "&"))
			}
		}
		got := strings.Join(names, " ")
		for _, want := range []string{"X-Burnkey-Owner=cust_1", "X-Burnkey-Key-Id=key-1", "X-Burnkey-Workspace=acme"} {
			if !strings.Contains(got, want) {
				t.Errorf("the API is told %s", got)
			}
		}
		if len(names) != 3 || f.last().Get("X-HTTP-Method-Override") != extra {
			t.Errorf("the API is told %s, and %q", got, f.last().Get("X-HTTP-Method-Override"))
		}
	}
	t.Run("as rendered", func(t *testing.T) { honest(envoyBefore(t, addr), "") })
	// The Gateway's answer replaces the headers even if the first filter was lost in a merge.
	t.Run("without header_mutation", func(t *testing.T) {
		honest(envoyBefore(t, addr, replaceOnce(t, "{prefix: x-burnkey-, ignore_case: true}", "{prefix: x-never-, ignore_case: true}")), "")
	})
}

func TestEnvoyStripsAuthorization(t *testing.T) {
	s, _ := follow(t, func(o *gateway.Options) { o.StripAuthorization = true })
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr)
	code := f.code(t, "/", auth(own(), payload("acme")))
	if code != 200 || f.last().Get("Authorization") != "" || f.last().Get("X-Burnkey-Owner") != "cust_1" {
		t.Errorf("%d %v", code, f.last())
	}
}

// perRoute gives the routes /PATH requirements.
func perRoute(t *testing.T, routes map[string]string) func(string) string {
	var b strings.Builder
	for path, extensions := range routes {
		fmt.Fprintf(&b, `              - match: {prefix: %s}
                route: {cluster: api}
                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    %s
`, path, extensions)
	}
	return replaceOnce(t, "              - match: {prefix: /}\n", b.String()+"              - match: {prefix: /}\n")
}

func TestEnvoyRoutes(t *testing.T) {
	s, _ := follow(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	context := func(pairs string) string { return "check_settings: {context_extensions: {" + pairs + "}}" }
	f := envoyBefore(t, addr, perRoute(t, map[string]string{
		"/read": context("scopes: maps:read"), "/write": context(`scopes: "maps:read maps:write"`), "/aud": context("audience: other"),
		"/beta": context("workspace: beta"), "/typo": context("scope: maps:read"), "/off": "disabled: true",
	}))
	good := auth(own(), payload("acme"))
	for target, want := range map[string]int{
		"/": 200, "/read": 200, "/write": 403, "/aud": 401, "/beta": 401, "/typo": 500,
		"/x/../write": 403, "//write": 403, "/%77rite": 403, "/read/%2e%2e/write": 403, "/read%2f..%2fwrite": 400,
		// The last filter refuses requests about which the Gateway was not asked.
		"/off": 401,
	} {
		if code := f.code(t, target, good); code != want {
			t.Errorf("%s: %d, want %d", target, code, want)
		}
	}
	resp := f.send(t, "GET", "/write", good)
	const challenge = `Bearer realm="api", error="insufficient_scope", ` +
		`error_description="The token lacks a scope that is required here.", scope="maps:read maps:write"`
	if resp.Header.Get("WWW-Authenticate") != challenge || !strings.Contains(resp.body, `"status":403`) {
		t.Errorf("%v\n%s", resp.Header, resp.body)
	}
}

// The requirements of a virtual host and of a route both apply. If both have a requirement with the same name,
// the route's applies.
func TestEnvoyVirtualHost(t *testing.T) {
	s, _ := follow(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr, perRoute(t, map[string]string{
		"/scoped": "check_settings: {context_extensions: {scopes: maps:read}}",
		"/beta":   "check_settings: {context_extensions: {workspace: beta}}",
	}), replaceOnce(t, "              domains: [\"*\"]\n", `              domains: ["*"]
              typed_per_filter_config:
                envoy.filters.http.ext_authz:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                  check_settings: {context_extensions: {workspace: acme}}
`))
	acme, beta := auth(own(), payload("acme")), auth(other(), payload("beta"))
	for target, want := range map[string][2]int{"/": {200, 401}, "/scoped": {200, 401}, "/beta": {401, 200}} {
		if got := [2]int{f.code(t, target, acme), f.code(t, target, beta)}; got != want {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
}

// Without the Gateway, no request passes.
func TestEnvoyWithoutGateway(t *testing.T) {
	s, _ := follow(t, nil)
	addr, stop := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr)
	good := auth(own(), payload("acme"))
	if code := f.code(t, "/", good); code != 200 {
		t.Fatalf("%d", code)
	}
	refused := func(what string) {
		t.Helper()
		reached := f.reached()
		resp := f.send(t, "GET", "/", good)
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Content-Type") != "application/problem+json" ||
			!strings.Contains(resp.body, "Tokens cannot be verified at present.") || f.reached() != reached {
			t.Errorf("%s: %d %v\n%s", what, resp.StatusCode, resp.Header, resp.body)
		}
	}
	stop()
	for range 3 {
		refused("the Gateway is gone")
	}
	// A server that never answers listens there.
	mute, err := net.Listen("tcp", addr)
	check(t, err)
	refused("the Gateway does not answer")
	mute.Close()
	listenFor(t, s, addr)
	eventually(t, "it is back", func() bool { return f.code(t, "/", good) == 200 })
}

// One of three Gateways is enough: clients notice nothing if the others are stopped or stale.
func TestEnvoyWithSeveral(t *testing.T) {
	now := new(testkit.Clock)
	s, o := follow(t, nil)
	with := options(o, "acme", "beta")
	with.MaxStaleness, with.Now = time.Minute, now.Now
	aged := start(t, with, nil)
	eventually(t, "it is ready", func() bool { return aged.gateway.Ready() == nil })
	first, stopFirst := listenFor(t, s, envoytest.FreeAddr(t))
	second, _ := listenFor(t, s, envoytest.FreeAddr(t))
	third, _ := listenFor(t, aged, envoytest.FreeAddr(t))
	f := envoyBeforeAll(t, []string{first, second, third})
	good := auth(own(), payload("acme"))
	all := func(what string) {
		t.Helper()
		for range 30 {
			if code := f.code(t, "/", good); code != 200 {
				t.Fatalf("%s: %d", what, code)
			}
		}
	}
	healthy := func(want int) func() bool {
		return func() bool { return f.Stats(t, "cluster.burnkey_gateway.membership_healthy") == want }
	}
	const panicking = "cluster.burnkey_gateway.lb_healthy_panic"
	eventually(t, "Envoy sees that all are well", healthy(3))
	before := f.Stats(t, panicking)
	all("with three")
	stopFirst()
	all("one has just ended")
	stopFor(t, aged, o)
	now.Advance(2 * time.Minute)
	eventually(t, "Envoy sees which one is well", healthy(1))
	eventually(t, "its worker does, too", func() bool {
		for range 30 {
			if f.code(t, "/", good) != 200 {
				return false
			}
		}
		return true
	})
	if panics := f.Stats(t, panicking) - before; panics != 0 {
		t.Errorf("Envoy asked the others all the same, %d times", panics)
	}
	listenFor(t, s, first)
	eventually(t, "Envoy sees that one is back", healthy(2))
	all("two of three are well")
}

func TestEnvoyStale(t *testing.T) {
	now := new(testkit.Clock)
	s, o := follow(t, func(o *gateway.Options) {
		o.MaxStaleness, o.Now, o.Log = time.Minute, now.Now, slog.New(slog.DiscardHandler)
	})
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr)
	good := auth(own(), payload("acme"))
	if code := f.code(t, "/", good); code != 200 {
		t.Fatalf("%d", code)
	}
	stopFor(t, s, o)
	now.Advance(2 * time.Minute)
	// The service refuses until Envoy's health check fails; from then on Envoy answers by itself, without a title.
	eventually(t, "Envoy sees that it is not healthy", func() bool {
		resp := f.send(t, "GET", "/", good)
		if resp.StatusCode != 503 || !strings.Contains(resp.body, "Tokens cannot be verified at present.") {
			t.Fatalf("%d %s", resp.StatusCode, resp.body)
		}
		return f.Stats(t, "cluster.burnkey_gateway.membership_healthy") == 0
	})
	if resp := f.send(t, "GET", "/", good); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestEnvoyLogsMetadata(t *testing.T) {
	s, _ := follow(t, nil)
	addr, _ := listenFor(t, s, envoytest.FreeAddr(t))
	f := envoyBefore(t, addr)
	f.code(t, "/", auth(own(), payload("acme")))
	f.code(t, "/", auth(other(), payload("acme")))
	var text string
	eventually(t, "both are logged", func() bool {
		b, err := os.ReadFile(f.accessLog)
		text = string(b)
		return err == nil && strings.Count(text, "\n") >= 2
	})
	for _, want := range []string{
		`"owner":"cust_1"`, `"key_id":"key-1"`, `"workspace":"acme"`, `"scopes":"maps:read tiles:read"`,
		`"refused":"unknown"`, "owner=cust_1\n", "owner=-\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the access log:\n%s", want, text)
		}
	}
}
