package e2e_test

import (
	"context"
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

	mu    sync.Mutex
	roads map[string]*road // by workspace
}

// A road leads from a workspace's clients to the server.
type road struct {
	fetched int
	open    context.Context // done while the server is away
	cut     context.CancelFunc
}

// road is called with the lock held.
func (f *front) road(workspace string) *road {
	if f.roads[workspace] == nil {
		r := new(road)
		r.open, r.cut = context.WithCancel(context.Background())
		f.roads[workspace] = r
	}
	return f.roads[workspace]
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{roads: map[string]*road{}}
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
	road := f.road(workspace)
	if strings.HasSuffix(call, "jwks.json") {
		road.fetched++
	}
	open := road.open
	f.mu.Unlock()
	if open.Err() != nil {
		panic(http.ErrAbortHandler) // closes the connection
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(open, cancel)() // ends a stream
	f.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// leave makes the server be away for a workspace.
func (f *front) leave(workspace string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.road(workspace).cut()
}

// comeBack ends what leave began.
func (f *front) comeBack(workspace string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.road(workspace)
	r.open, r.cut = context.WithCancel(context.Background())
}

func (f *front) fetches(workspace string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.road(workspace).fetched
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
