package e2e_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A front is a proxy from which the clients of the matrix fetch, by http and by https. It counts fetches of the JWKS by workspace,
// and can be away for one workspace: it then closes each connection without an answer.
type front struct {
	plain, secure *httptest.Server
	caFile        string
	proxy         *httputil.ReverseProxy

	mu      sync.Mutex
	fetched map[string]int
	away    map[string]bool
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{fetched: map[string]int{}, away: map[string]bool{}}
	f.plain, f.secure = httptest.NewServer(f), httptest.NewTLSServer(f)
	t.Cleanup(f.plain.Close)
	t.Cleanup(f.secure.Close)
	f.caFile = filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: f.secure.Certificate().Raw}
	check(t, os.WriteFile(f.caFile, pem.EncodeToMemory(block), 0o644))
	return f
}

// forward is called before the first request.
func (f *front) forward(t *testing.T, s *server) {
	t.Helper()
	to, err := url.Parse(s.url)
	check(t, err)
	f.proxy = httputil.NewSingleHostReverseProxy(to)
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, rest, _ := strings.Cut(r.URL.Path, "/v1/auth/oauth/")
	workspace, call, _ := strings.Cut(rest, "/")
	f.mu.Lock()
	if strings.HasSuffix(call, "jwks.json") {
		f.fetched[workspace]++
	}
	away := f.away[workspace]
	f.mu.Unlock()
	if away {
		panic(http.ErrAbortHandler) // closes the connection
	}
	f.proxy.ServeHTTP(w, r)
}

func (f *front) setAway(workspace string, away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away[workspace] = away
}

func (f *front) fetches(workspace string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetched[workspace]
}

// environ has what a client's program reads.
func (f *front) environ(workspace, setting string) []string {
	path := "/v1/auth/oauth/" + workspace
	const set = "/.well-known/jwks.json"
	return environment(
		"ISSUER="+f.secure.URL+path, "JWKS_URI="+f.plain.URL+path+set, "SECURE_JWKS_URI="+f.secure.URL+path+set,
		"AUDIENCE="+clientsAudience, "SETTING="+setting, "CA_FILE="+f.caFile,
		"NODE_EXTRA_CA_CERTS="+f.caFile, "SSL_CERT_FILE="+f.caFile,
	)
}
