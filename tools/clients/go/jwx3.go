package main

import (
	"context"
	"time"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func jwx3Cache() (verifier, error) {
	ctx := context.Background()
	var options []jwk.RegisterOption
	if asOnPage {
		options = append(options, jwk.WithMinInterval(5*time.Second), jwk.WithMaxInterval(5*time.Second))
		jwk.Configure(jwk.WithMaxKeys(100_000))
	}
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		return nil, err
	}
	if err := cache.Register(ctx, jwksURI, options...); err != nil {
		return nil, err
	}
	keys, err := cache.CachedSet(jwksURI)
	if err != nil {
		return nil, err
	}
	return func(token string) error {
		_, err := jwt.ParseString(token, jwt.WithKeySet(keys),
			jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithAcceptableSkew(10*time.Second))
		return err
	}, nil
}
