package jwks_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// A Feed has the attributes of keys: the Verifier then also checks whether a key may be used from the client's
// address, and a changed expiry and changed scopes take effect.
func ExampleFeed() {
	feed, err := jwks.NewFeed(jwks.FeedOptions{
		Server: "https://auth.example.com", Workspaces: []string{"acme"}, StateFile: "feed.jwks",
		Key: func() (string, error) { // read for each request, so that the file can be replaced
			key, err := os.ReadFile("gateway.key")
			return strings.TrimSpace(string(key)), err
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = feed.Run(context.Background()) }()

	keys := feed.Follower("acme")
	check := &jwks.Middleware{
		Verifier: &jwks.Verifier{
			Keys: keys, Issuer: jwks.IssuerIs("https://auth.example.com/v1/auth/oauth/acme"), Audience: []string{"acme-company"},
		},
		Unavailable: func() error { return keys.Usable(time.Minute) },
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:9000", check.Handler(http.NotFoundHandler())))
}
