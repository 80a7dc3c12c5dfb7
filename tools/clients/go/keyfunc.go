package main

import (
	"context"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

func keyFunc() (verifier, error) {
	keys, err := keyfuncKeys()
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(issuer),
		jwt.WithAudience(audience), jwt.WithLeeway(10*time.Second))
	return func(token string) error {
		_, err := parser.Parse(token, keys.Keyfunc)
		return err
	}, nil
}

func keyfuncKeys() (keyfunc.Keyfunc, error) {
	if !asOnPage {
		return keyfunc.NewDefault([]string{jwksURI})
	}
	return keyfunc.NewDefaultOverrideCtx(context.Background(), []string{jwksURI}, keyfunc.Override{
		RefreshInterval:   5 * time.Second,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(time.Second), 1),
		RateLimitWaitMax:  2 * time.Second,
	})
}
