package gateway_test

import (
	"context"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/jwks"
)

// A reverse proxy that passes only requests with a valid key, and tells the API whose key it is.
func Example() {
	g, err := gateway.New(gateway.Options{
		Server: "http://127.0.0.1:8080", Workspaces: []string{"acme"}, Audience: []string{"acme-company"},
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(g.Run(context.Background())) }()

	api := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "127.0.0.1:9000"})
	log.Fatal(http.ListenAndServe("127.0.0.1:10000", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := g.Decide(r.Context(), gateway.Request{
			Headers:      jwks.Places{}.Fields(nil, r.Header),
			Requirements: map[string]string{"scopes": "maps:read"},
		})
		if d.Refusal != nil {
			for _, h := range d.ResponseHeaders() {
				w.Header().Set(h.Name, h.Value)
			}
			w.WriteHeader(d.Refusal.Status)
			_, _ = w.Write(d.Problem())
			return
		}
		for name := range r.Header {
			if strings.Contains(name, "_") { // many APIs read x_burnkey_owner as x-burnkey-owner
				r.Header.Del(name)
			}
		}
		for _, name := range d.Remove {
			r.Header.Del(name)
		}
		for _, f := range d.Fields() {
			r.Header.Set(f.Header, f.Value)
		}
		api.ServeHTTP(w, r)
	})))
}
