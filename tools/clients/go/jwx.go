package main

import (
	"context"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

func jwxCache() (verifier, error) {
	ctx := context.Background()
	var window []jwk.CacheOption
	var interval []jwk.RegisterOption
	if asOnPage {
		window = append(window, jwk.WithRefreshWindow(time.Second))
		interval = append(interval, jwk.WithRefreshInterval(5*time.Second))
	}
	cache := jwk.NewCache(ctx, window...)
	if err := cache.Register(jwksURI, interval...); err != nil {
		return nil, err
	}
	if _, err := cache.Refresh(ctx, jwksURI); err != nil {
		return nil, err
	}
	keys := jwk.NewCachedSet(cache, jwksURI)
	return func(token string) error {
		_, err := jwt.ParseString(token, jwt.WithKeySet(keys),
			jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithAcceptableSkew(10*time.Second))
		return err
	}, nil
}
