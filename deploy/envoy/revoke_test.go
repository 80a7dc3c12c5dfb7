package envoy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/internal/testkit"
)

func TestRevocation(t *testing.T) {
	keys := newKeyServer(t)
	tombstone, k, last := newKey(t), newKey(t), newKey(t)
	keys.publish("acme", tombstone, k, last)
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys)
	issuer := c.Issuer("acme")
	token, lastToken := k.token(t, claims(issuer)), last.token(t, claims(issuer))
	if g.code(t, token) != 200 || g.code(t, lastToken) != 200 {
		t.Fatal("not accepted from the start")
	}

	keys.publish("acme", tombstone, last)
	t.Logf("refused %s after its key was deleted", g.until(t, 401, token))
	if code := g.code(t, lastToken); code != 200 {
		t.Errorf("the other key gets %d", code)
	}
	keys.publish("acme", tombstone)
	t.Logf("the last one refused after %s", g.until(t, 401, lastToken))

	fresh := newKey(t)
	keys.publish("acme", tombstone, fresh)
	t.Logf("a new one accepted after %s", g.until(t, 200, fresh.token(t, claims(issuer))))
}

func TestServerDown(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", newKey(t), k)
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys)
	issuer := c.Issuer("acme")
	token := k.token(t, claims(issuer))

	const failed = "http.burnkey.jwt_authn.jwks_fetch_failed"
	keys.stop()
	before := g.Stats(t, failed)
	testkit.Eventually(t, "fetches fail", func() bool {
		if code := g.code(t, token); code != 200 {
			t.Fatalf("a published key gets %d while the server is down", code)
		}
		return g.Stats(t, failed) > before+1
	})

	// The key is deleted while the server is down. The deletion takes effect as soon as the server is back.
	keys.publish("acme", newKey(t))
	keys.start(t)
	t.Logf("refused %s after the server came back", g.until(t, 401, token))
}

func TestServerDownAtStart(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", k)
	keys.stop()
	c := oneSecond
	c.Server = keys.url()
	g := startGateway(t, c, keys)
	token := k.token(t, claims(c.Issuer("acme")))
	if code := g.code(t, token); code != 503 || g.api.requests() != 0 {
		t.Fatalf("with no set ever fetched: %d", code)
	}
	keys.start(t)
	t.Logf("accepted %s after the server came up", g.until(t, 200, token))
}

// With a longer interval, Envoy fetches earlier than the setting says. The rendering compensates for that.
func TestFetchInterval(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 7 s")
	}
	t.Parallel()
	for _, cache := range []time.Duration{2 * time.Second, 6 * time.Second} {
		t.Run(cache.String(), func(t *testing.T) {
			t.Parallel()
			keys := newKeyServer(t)
			keys.publish("acme", newKey(t))
			startGateway(t, envoy.Config{Workspaces: []string{"acme"}, AnyAudience: true, Cache: cache}, keys)
			testkit.Within(t, cache+10*time.Second, "a second fetch", func() bool { return len(keys.fetched()) > 1 })
			at := keys.fetched()
			took := at[1].Sub(at[0])
			t.Logf("next fetch after %s", took)
			if took < cache-time.Second/2 || took > cache+8*time.Second {
				t.Errorf("next fetch after %s, want %s", took, cache)
			}
		})
	}
}

func TestServerOverTLS(t *testing.T) {
	keys := newKeyServer(t)
	k := newKey(t)
	keys.publish("acme", k)
	certificate, ca := newCertificate(t, "localhost")
	srv := httptest.NewUnstartedServer(keys)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	_, otherCA := newCertificate(t, "localhost")

	for name, tt := range map[string]struct {
		server, ca string
		want       int
	}{
		"good":       {"https://localhost:" + port, ca, 200},
		"other CA":   {"https://localhost:" + port, otherCA, 503},
		"other name": {"https://127.0.0.1:" + port, ca, 503},
	} {
		t.Run(name, func(t *testing.T) {
			c := oneSecond
			c.Server, c.CAFile = tt.server, tt.ca
			g := startGateway(t, c, keys)
			if code := g.code(t, k.token(t, claims(c.Issuer("acme")))); code != tt.want {
				t.Errorf("%d, want %d", code, tt.want)
			}
		})
	}
}

// newCertificate returns a self-signed certificate for a name, and the certificate's file.
func newCertificate(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, file
}

// A server that is slow for a moment does not make a fetch fail.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	keys, k := newKeyServer(t), newKey(t)
	keys.publish("acme", k)
	keys.delay = 1200 * time.Millisecond
	c := valid()
	c.Server, c.Upstream = keys.url(), ""
	g := startGateway(t, c, keys)
	if code := g.code(t, k.token(t, claims(c.Issuer("acme")))); code != 200 || len(keys.fetched()) != 1 {
		t.Errorf("%d, after %d fetches", code, len(keys.fetched()))
	}
}
