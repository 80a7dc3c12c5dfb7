package e2e_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// unready waits until /readyz answers that the service is not ready, with a reason that contains the words.
func (a *asked) unready(words ...string) {
	a.t.Helper()
	var text string
	eventually(a.t, "/readyz says why", func() bool {
		code, body := a.get("/readyz")
		text = body
		return code == http.StatusServiceUnavailable && strings.Contains(body, words[0])
	})
	says(a.t, text, words...)
}

// logs waits until the gateway's log contains every word. A line can follow the event it reports.
func (a *asked) logs(words ...string) {
	a.t.Helper()
	eventually(a.t, fmt.Sprintf("the log contains %q", words), func() bool {
		log := a.log()
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(log, word) })
	})
}

// TestE2EGatewayModeWrongServer gives the gateway another server URL than the one in tokens. Without
// --public-url, the gateway then expects another issuer than every token has.
func TestE2EGatewayModeWrongServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	byName := strings.Replace(s.url, "127.0.0.1", "localhost", 1)
	a := newAsked(t, byName, "--workspace", "acme")
	a.start()
	a.unready(byName+"/v1/auth/oauth/acme", s.url+"/v1/auth/oauth/acme", `set --public-url to "`+s.url+`"`)
	a.logs("level=ERROR", "--public-url", s.url)
	a.stop()
	a.flags = append(a.flags, "--public-url", s.url)
	a.start()
	a.ready()
	a.stop()
	// The gateway also starts while the server is down.
	s.stop()
	a.flags = append(a.flags, "--public-url", "http://wrong.example.com")
	a.start()
	a.ready()
}

func TestE2EGatewayModeNoSuchWorkspace(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	a := newAsked(t, s.url, "--workspace", "nosuch")
	a.start()
	a.unready(`the server has no workspace "nosuch"`)
	a.logs(`the server has no workspace \"nosuch\"`)
	s.admin().mustCreate(t, "nosuch")
	a.ready()
}

// TestE2EGatewayModeScopes checks the warning about a management key that has more permissions than a gateway
// needs.
func TestE2EGatewayModeScopes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	a := startAsked(t, s, "--key-file", s.keyFile)
	a.logs("level=WARN", "has scopes that a gateway does not need", "scopes=admin")
	a.stop()
	narrow := filepath.Join(t.TempDir(), "key")
	check(t, os.WriteFile(narrow, []byte(s.admin().mustIssue(t, "burnkey", "scopes", []string{"gateway"}).Token), 0o600))
	b := startAsked(t, s, "--key-file", narrow)
	if log := a.log() + b.log(); strings.Contains(log, "eyJ") || strings.Contains(b.log(), "has scopes that a gateway does not need") {
		t.Errorf("the log has a token, or warns of the right key:\n%s", log)
	}
	c := startAsked(t, s, "--workspace", "acme", "--usage-key-file", s.keyFile)
	c.logs("level=WARN", "has scopes that a gateway does not need", "scopes=admin")
}

// TestE2EGatewayModePrivateCA has the gateway trust the CA certificates in SSL_CERT_FILE.
func TestE2EGatewayModePrivateCA(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	behind, err := url.Parse(s.url)
	check(t, err)
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(behind) },
		FlushInterval: -1, // the change stream, as it comes
	})
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	t.Cleanup(front.CloseClientConnections)
	a := newAsked(t, front.URL, "--workspace", "acme", "--public-url", s.url)
	a.start()
	a.unready("certificate")
	a.stop()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	check(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	a.env = []string{"SSL_CERT_FILE=" + ca}
	a.start()
	a.ready()
	a.stop()
}

// TestE2EGatewayModeTwo checks that one of two gateway services can be restarted without an interruption.
func TestE2EGatewayModeTwo(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	a, b := startAsked(t, s, "--workspace", "acme", "--max-staleness", "1d"), startAsked(t, s, "--workspace", "acme")
	a.logs("max_staleness=24h0m0s")
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr+","+b.addr)
	k := admin.mustIssue(t, "acme")
	g.accepts(t, k)
	for _, one := range []*asked{a, b} {
		eventually(t, "Envoy sees both", func() bool { return g.Stats(t, "cluster.burnkey_gateway.membership_healthy") == 2 })
		before := []float64{a.decisions(), b.decisions()}
		eventually(t, "its worker asks both", func() bool {
			return g.get(t, k.Token) == http.StatusOK && a.decisions() > before[0] && b.decisions() > before[1]
		})
		one.stop()
		for range 20 {
			if code := g.get(t, k.Token); code != http.StatusOK {
				t.Fatalf("without one of two: %d", code)
			}
		}
		one.start()
		one.ready()
	}
	t.Logf("refused after %s", g.refusesAfter(t, k, admin.mustRevoke))
}
