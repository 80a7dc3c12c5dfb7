package envoy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
)

// Envoy loads a set over 32 MiB only because the bootstrap raises the limit. The test also checks that the set
// is not loaded without that setting.
func TestBigSet(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 70 MB")
	}
	k := newKey(t)
	body := bigSet(t, k, 34<<20)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	t.Cleanup(srv.Close)
	c := envoy.Config{Server: srv.URL, Workspaces: []string{"acme"}, AnyAudience: true, Cache: time.Hour}
	token := k.token(t, claims(c.Issuer("acme")))

	g := startGateway(t, c, nil)
	start := time.Now()
	if code := g.code(t, token); code != 200 {
		t.Errorf("%d", code)
	}
	t.Logf("%d bytes of keys, verified in %s", len(body), time.Since(start))

	small := startGateway(t, c, nil, replaceOnce(t, "http.async_response_buffer_limit: 1073741824", "other: 1"))
	if code := small.code(t, token); code != 503 {
		t.Errorf("%d: Envoy no longer limits the set, and the setting may go", code)
	}
}

// bigSet returns a set of at least size bytes, in which k is the last key.
func bigSet(t *testing.T, k *key, size int) []byte {
	t.Helper()
	last, err := json.Marshal(k.jwk)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString(`{"keys":[`)
	for i := 0; b.Len() < size; i++ {
		b.Write(bytes.Replace(last, []byte(k.kid), fmt.Appendf(nil, "%043d", i), 1))
		b.WriteByte(',')
	}
	b.Write(last)
	b.WriteString(`]}`)
	return b.Bytes()
}
