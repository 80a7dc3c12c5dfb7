package envoy_test

import (
	"bufio"
	"cmp"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// key is a key pair with its published JWK.
type key struct {
	private *rsa.PrivateKey
	kid     string
	jwk     map[string]string
}

func newKey(t testing.TB) *key {
	t.Helper()
	private := testkit.PrivateKey()
	n, e := b64(private.N.Bytes()), b64(big.NewInt(int64(private.E)).Bytes())
	// RFC 7638 section 3: only the required members, in this order.
	sum := sha256.Sum256([]byte(`{"e":"` + e + `","kty":"RSA","n":"` + n + `"}`))
	k := &key{private: private, kid: b64(sum[:])}
	k.jwk = map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": k.kid, "n": n, "e": e}
	return k
}

func header(kid string) string { return `{"alg":"RS256","kid":"` + kid + `","typ":"JWT"}` }

func accessHeader(kid string) string { return strings.Replace(header(kid), "JWT", "at+jwt", 1) }

// token returns a token with these claims, in the form that Burnkey signs.
func (k *key) token(t testing.TB, claims map[string]any) string {
	t.Helper()
	return k.sign(t, header(k.kid), claims)
}

// sign signs claims under any header.
func (k *key) sign(t testing.TB, header string, claims map[string]any) string {
	t.Helper()
	input := b64([]byte(header)) + "." + payload(t, claims)
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(sig)
}

func hs256(t testing.TB, secret []byte, header string, claims map[string]any) string {
	t.Helper()
	input := b64([]byte(header)) + "." + payload(t, claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func payload(t testing.TB, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return b64(b)
}

// claims returns the claims of a valid token. The pairs replace claims; a nil value removes a claim.
func claims(issuer string, pairs ...any) map[string]any {
	c := map[string]any{
		"iss": issuer, "sub": "cust_1", "aud": []string{"acme-company"}, "jti": "0190-key",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "scope": "maps:read maps:write",
	}
	for i := 0; i < len(pairs); i += 2 {
		if c[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(c, pairs[i].(string))
		}
	}
	return c
}

// keyServer publishes key sets under the paths that Burnkey uses. It can be
// stopped and started again on the same address.
type keyServer struct {
	addr string

	mu      sync.Mutex
	sets    map[string][]*key
	delay   time.Duration // of each answer
	fetches []time.Time
	server  *http.Server
}

func newKeyServer(t testing.TB) *keyServer {
	t.Helper()
	s := &keyServer{addr: envoytest.FreeAddr(t), sets: map[string][]*key{}}
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

func (s *keyServer) url() string { return "http://" + s.addr }

func (s *keyServer) publish(workspace string, keys ...*key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets[workspace] = keys
}

// fetched returns the times at which sets were requested.
func (s *keyServer) fetched() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.fetches)
}

func (s *keyServer) start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.server = &http.Server{Handler: s}
	go func(srv *http.Server) { _ = srv.Serve(l) }(s.server)
}

func (s *keyServer) stop() { _ = s.server.Close() }

func (s *keyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	<-time.After(s.delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches = append(s.fetches, time.Now())
	workspace := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/auth/oauth/"), "/.well-known/jwks.json")
	keys, ok := s.sets[workspace]
	if !ok {
		http.NotFound(w, r)
		return
	}
	set := map[string][]map[string]string{"keys": {}}
	for _, k := range keys {
		set["keys"] = append(set["keys"], k.jwk)
	}
	_ = json.NewEncoder(w).Encode(set)
}

// api is the API behind the gateway. It records the requests that it receives.
type api struct {
	addr string

	mu   sync.Mutex
	seen []*http.Request
}

func newAPI(t testing.TB) *api {
	t.Helper()
	a := &api{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen = append(a.seen, r)
		refuse(w, r)
	}))
	t.Cleanup(srv.Close)
	a.addr = srv.Listener.Addr().String()
	return a
}

func (a *api) requests() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

func (a *api) last() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[len(a.seen)-1]
}

// gateway is an Envoy between a key server and an API.
type gateway struct {
	*envoytest.Envoy
	addr string
	keys *keyServer
	api  *api
}

// startGateway runs Envoy with a rendered bootstrap, changed by the edits.
func startGateway(t testing.TB, c envoy.Config, keys *keyServer, edits ...func(string) string) *gateway {
	t.Helper()
	g := &gateway{addr: envoytest.FreeAddr(t), keys: keys, api: newAPI(t)}
	c.Listen, c.Upstream, c.Admin = g.addr, cmp.Or(c.Upstream, g.api.addr), envoytest.FreeAddr(t)
	if c.Server == "" {
		c.Server = keys.url()
	}
	text := render(t, envoy.Bootstrap, c)
	for _, edit := range edits {
		text = edit(text)
	}
	g.Envoy = envoytest.Start(t, text)
	return g
}

func render(t testing.TB, f func(io.Writer, envoy.Config) error, c envoy.Config) string {
	t.Helper()
	var b strings.Builder
	if err := f(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// replaceOnce edits a configuration, and fails the test unless the text occurs once.
func replaceOnce(t testing.TB, from, to string) func(string) string {
	return func(s string) string {
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

// get sends a request to the gateway without normalizing the target. The lines are headers.
func (g *gateway) get(t testing.TB, target string, lines ...string) response {
	t.Helper()
	return g.send(t, "GET", target, lines...)
}

func (g *gateway) send(t testing.TB, method, target string, lines ...string) response {
	t.Helper()
	resp, err := g.try(t, method, target, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// try is like send, but the answer may end early.
func (g *gateway) try(t testing.TB, method, target string, lines ...string) (response, error) {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	lines = append([]string{"Host: api.example.com", "Connection: close"}, lines...)
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\n%s\r\n\r\n", method, target, strings.Join(lines, "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return response{resp, string(body)}, err
}

func bearer(token string) string { return "Authorization: Bearer " + token }

func (g *gateway) code(t testing.TB, token string) int {
	t.Helper()
	return g.get(t, "/v1/tiles", bearer(token)).StatusCode
}

// until waits until a token gets a status, and returns how long it took: on an idle machine, one second longer than the
// cache time at most.
func (g *gateway) until(t testing.TB, code int, token string) time.Duration {
	t.Helper()
	start := time.Now()
	testkit.Eventually(t, fmt.Sprintf("the gateway answers %d", code), func() bool {
		return g.code(t, token) == code
	})
	return time.Since(start)
}

func burnkeyHeaders(h http.Header) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if strings.HasPrefix(name, "X-Burnkey-") {
			names = append(names, name+": "+strings.Join(h[name], " & "))
		}
	}
	return names
}
