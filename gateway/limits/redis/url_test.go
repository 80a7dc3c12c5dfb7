package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/limits/redis/redistest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

const password = "s3cr-%t"

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"redis://127.0.0.1", "redis://127.0.0.1:6379/2", "rediss://user:p%25ss@redis.example.com:6380", "redis://:pass@[::1]:6379",
	} {
		check(t, CheckURL(url))
	}
	for _, url := range []string{
		"", "127.0.0.1:6379", "http://127.0.0.1", "redis://", "redis://user:s3cr/t@host", "redis://user:s3cr%t@host", "redis://host:s3cr",
		"redis://host/s3cr", "redis://host/1/2", "redis://host?password=s3cr", "redis://host#s3cr",
	} {
		if err := CheckURL(url); err == nil || strings.Contains(err.Error(), "s3cr") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestPassword logs in, and checks that a wrong password is logged nowhere.
func TestPassword(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--requirepass", password)
	with := func(escaped string) string { return strings.Replace(s.URL(), "//", "//:"+escaped+"@", 1) }
	c := newCounter(t, s, func(o *Options) { o.URL = with("s3cr-%25t") })
	if n := passed(t, c, 3, per(jwks.Day, 2)); n != 2 {
		t.Errorf("%d requests pass, want 2", n)
	}
	var log testkit.Log
	wrong := start(t, Options{URL: with("s3cr-other"), Local: newLocal(t, 1), Log: log.Logger()})
	// The first failure can be a timeout. The next one is logged after a minute.
	testkit.Within(t, 3*time.Minute, "the failure is logged", func() bool { return strings.Contains(log.String(), "WRONGPASS") })
	if wrong.Usable() || strings.Contains(log.String(), "s3cr") {
		t.Errorf("used: %t; log:\n%s", wrong.Usable(), log.String())
	}
}

// TestPermissions logs in as a user who may do no more than docs/operate/redis.md says.
func TestPermissions(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/operate/redis.md")
	check(t, err)
	_, rest, found := strings.Cut(string(page), "\nACL SETUSER ")
	line, _, _ := strings.Cut(rest, "\n")
	if !found {
		t.Fatal("the page has no ACL SETUSER")
	}
	s := redistest.Start(t)
	args := []any{"ACL", "SETUSER"}
	for _, arg := range strings.Fields(line) {
		args = append(args, strings.Replace(arg, ">…", ">secret", 1))
	}
	client := connect(t, s)
	check(t, client.Do(t.Context(), args...).Err())
	c := newCounter(t, s, func(o *Options) { o.URL = strings.Replace(s.URL(), "//", "//gateway:secret@", 1) })
	rule := per(jwks.Day, 4)
	if n := passed(t, c, 3, rule); n != 3 {
		t.Errorf("%d requests pass, want 3", n)
	}
	check(t, client.ScriptFlush(t.Context()).Err())
	if n := passed(t, c, 3, rule); n != 1 || !c.Usable() {
		t.Errorf("%d requests pass, want 1; Redis is used: %t", n, c.Usable())
	}
	if n, err := client.Exists(t.Context(), key(&rule)).Result(); err != nil || n != 1 {
		t.Errorf("Redis has %d counts: %v", n, err)
	}
}

// TestTLS connects by rediss, and refuses a server that it does not trust.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := selfSigned(t, dir)
	addr := testkit.FreeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	check(t, err)
	redistest.Start(t, "--tls-port", port, "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-auth-clients", "no")
	trusting := start(t, Options{URL: "rediss://" + addr, Local: newLocal(t, 1), Log: slog.New(slog.DiscardHandler)}, func(c *Counter) {
		c.server.TLSConfig.RootCAs = pool
	})
	testkit.Eventually(t, "Redis is used", trusting.Usable)
	if n := passed(t, trusting, 3, per(jwks.Day, 2)); n != 2 {
		t.Errorf("%d requests pass, want 2", n)
	}
	var log testkit.Log
	other := start(t, Options{URL: "rediss://" + addr, Local: newLocal(t, 1), Log: log.Logger()})
	testkit.Within(t, 3*time.Minute, "the failure is logged", func() bool { return strings.Contains(log.String(), "certificate") })
	if other.Usable() {
		t.Error("a server with an unknown certificate is used")
	}
}

// selfSigned writes cert.pem and key.pem for 127.0.0.1, and returns a pool that trusts them.
func selfSigned(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		check(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}
