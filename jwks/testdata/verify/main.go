// Verify is an example of an API that verifies tokens with this module.
package main

import (
	"context"
	"net/http"
	"os"

	"github.com/burnkey/burnkey/jwks"
)

func main() {
	follower, err := jwks.NewFollower(jwks.FollowerOptions{URL: os.Args[1]})
	if err != nil {
		panic(err)
	}
	go func() { _ = follower.Run(context.Background()) }()
	verifier := &jwks.Verifier{Keys: follower, Issuer: jwks.IssuerIs(os.Args[1]), AnyAudience: true}
	api := &jwks.Middleware{Verifier: verifier}
	panic(http.ListenAndServe("127.0.0.1:0", api.Handler(http.NotFoundHandler())))
}
