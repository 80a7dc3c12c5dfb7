package main

import (
	"context"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// freshKeys is a key set that forgets its keys after 5 s.
type freshKeys struct {
	mu   sync.Mutex
	keys *oidc.RemoteKeySet
	from time.Time
}

func (f *freshKeys) current() *oidc.RemoteKeySet {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys == nil || time.Since(f.from) > 5*time.Second {
		f.keys, f.from = oidc.NewRemoteKeySet(context.Background(), jwksURI), time.Now()
	}
	return f.keys
}

// VerifySignature implements oidc.KeySet.
func (f *freshKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	return f.current().VerifySignature(ctx, token)
}

func goOIDC() (verifier, error) {
	var keys oidc.KeySet = oidc.NewRemoteKeySet(context.Background(), jwksURI)
	if asOnPage {
		keys = &freshKeys{}
	}
	v := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.RS256}})
	return func(token string) error {
		_, err := v.Verify(context.Background(), token)
		return err
	}, nil
}
