package envoy_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/jwks"
)

// BenchmarkPull compares, in one run, the time of a request through Envoys that verify tokens themselves, over a connection that
// is kept: with and without the Lua filter that finds keys.
func BenchmarkPull(b *testing.B) {
	keys, k := newKeyServer(b), newKey(b)
	keys.publish("acme", k)
	upstream := serveAPI(b)
	c := envoy.Config{Server: keys.url(), Upstream: upstream, Workspaces: []string{"acme"}, AnyAudience: true, Cache: time.Minute}
	token := k.token(b, claims(c.Issuer("acme")))
	places, err := jwks.ParsePlaces("bearer", "header:X-API-Key")
	if err != nil {
		b.Fatal(err)
	}
	header, prefixed := c, c
	header.Places, prefixed.TokenPrefix = places, "acme-live-"
	b.Run("the API alone", func(b *testing.B) { requests(b, upstream, "") })
	for _, of := range []struct {
		name   string
		config envoy.Config
		key    string
	}{{"bearer", c, token}, {"two places", header, token}, {"prefix", prefixed, "acme-live-" + token}} {
		g := startGateway(b, of.config, keys)
		b.Run(of.name, func(b *testing.B) { requests(b, g.addr, of.key) })
	}
}

func requests(b *testing.B, addr, key string) {
	b.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+addr+"/", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	for b.Loop() {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatal(resp.StatusCode)
		}
	}
}
