package jwks_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

const issuerPath = "/v1/auth/oauth/acme"

// exampleServer stands in for a Burnkey server with one workspace and one API key. It returns the token of
// this key.
func exampleServer() (server *httptest.Server, index *publish.Index, token string) {
	private, err := rsa.GenerateKey(rand.Reader, jwks.ModulusBits)
	if err != nil {
		log.Fatal(err)
	}
	key, err := jwks.FromPublicKey(&private.PublicKey)
	if err != nil {
		log.Fatal(err)
	}
	tombstone := make([]byte, jwks.ModulusLen) // a set is never empty
	tombstone[0], tombstone[jwks.ModulusLen-1] = 0x80, 1
	never, err := jwks.FromModulus(tombstone)
	if err != nil {
		log.Fatal(err)
	}
	var builder publish.Builder
	for _, k := range []jwks.Key{never, key} {
		if err := builder.Add(k, jwks.Attributes{}); err != nil {
			log.Fatal(err)
		}
	}
	set, err := builder.Set(1)
	if err != nil {
		log.Fatal(err)
	}
	index = publish.NewIndex(set)
	mux := http.NewServeMux()
	mux.Handle(issuerPath+"/.well-known/jwks.json", &publish.Handler{
		Set: func(*http.Request) (*publish.Set, bool) { return index.Set(), true },
	})
	mux.Handle(issuerPath+"/changes", publish.NewStream(
		func(*http.Request) (*publish.Index, bool) { return index, true },
		func(*http.Request, uint64, int) ([]jwks.Change, error) { return nil, publish.ErrTooOld },
	))
	server = httptest.NewServer(mux)

	header := fmt.Sprintf(`{"alg":"RS256","kid":"%s","typ":"JWT"}`, key.KID())
	claims := fmt.Sprintf(`{"iss":"%s","sub":"cust_1","aud":["maps"],"jti":"1","iat":1,"scope":"maps:read"}`, server.URL+issuerPath)
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	digest := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	if err != nil {
		log.Fatal(err)
	}
	return server, index, signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// call makes a request with a token and prints the response: of a problem, the code and the detail.
func call(handler http.Handler, method, path, token string) {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	var problem struct{ Code, Detail string }
	if json.Unmarshal(w.Body.Bytes(), &problem) == nil {
		w.Body = bytes.NewBufferString(problem.Code + ": " + problem.Detail)
	}
	fmt.Println(w.Code, w.Body)
}

func ExampleFollower() {
	server, index, token := exampleServer()
	defer server.Close()

	follower, err := jwks.NewFollower(jwks.FollowerOptions{URL: server.URL + issuerPath, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- follower.Run(ctx) }()
	<-follower.Ready()

	api := &jwks.Middleware{
		Verifier: &jwks.Verifier{
			Keys:     follower,
			Issuer:   jwks.IssuerIs(server.URL + issuerPath),
			Audience: []string{"maps"},
		},
		Realm:       "maps",
		Unavailable: func() error { return follower.Usable(time.Minute) },
	}
	mux := http.NewServeMux()
	mux.Handle("GET /maps", api.Require("maps:read").Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := jwks.ClaimsFrom(r.Context())
		fmt.Fprintf(w, "a map for %s", claims.Subject)
	})))
	mux.Handle("PUT /maps", api.Require("maps:write").Handler(http.NotFoundHandler()))

	call(mux, "GET", "/maps", token)
	call(mux, "PUT", "/maps", token)

	// The server revokes the key.
	parsed, err := jwks.Parse(token)
	if err != nil {
		log.Fatal(err)
	}
	if err := index.Apply(jwks.Change{Version: 2, Remove: []jwks.KID{parsed.KID}}); err != nil {
		log.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	for follower.Version() < 2 {
		<-tick.C
	}
	call(mux, "GET", "/maps", token)

	cancel()
	fmt.Println(<-done)
	// Output:
	// 200 a map for cust_1
	// 403 scope: The token lacks a scope that is required here.
	// 401 unknown: The token was revoked or suspended, or is from another issuer.
	// <nil>
}

func ExampleMiddleware_echo() {
	server, _, token := exampleServer()
	defer server.Close()

	follower, err := jwks.NewFollower(jwks.FollowerOptions{URL: server.URL + issuerPath, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- follower.Run(ctx) }()
	defer func() { cancel(); <-done }()
	<-follower.Ready()

	api := &jwks.Middleware{
		Verifier: &jwks.Verifier{Keys: follower, Issuer: jwks.IssuerIs(server.URL + issuerPath), Audience: []string{"maps"}},
		Realm:    "maps",
	}
	e := echo.New()
	e.GET("/maps", func(c echo.Context) error {
		claims, _ := jwks.ClaimsFrom(c.Request().Context())
		return c.String(http.StatusOK, "a map for "+claims.Subject)
	}, echo.WrapMiddleware(api.Require("maps:read").Handler))

	call(e, "GET", "/maps", token)
	call(e, "GET", "/maps", "x"+token)
	// Output:
	// 200 a map for cust_1
	// 401 malformed: The token is malformed.
}
