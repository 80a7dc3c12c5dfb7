package api_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"sync"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// quickMinter is a minter that signs in the test's process, each token with a new key.
type quickMinter struct {
	mu     sync.Mutex
	minted []jwks.Token
	// If err is not nil, it is returned instead of a key. If before is not nil, it is called first.
	err    error
	before func(context.Context) error
	// unsigned makes tokens that can't be verified, for tests that need many keys quickly.
	unsigned bool
}

func (m *quickMinter) Mint(ctx context.Context, _ mint.Asker, claims func() (mint.Claims, error)) (mint.Minted, error) {
	m.mu.Lock()
	err, before, unsigned := m.err, m.before, m.unsigned
	m.mu.Unlock()
	if err != nil {
		return mint.Minted{}, err
	}
	if before != nil {
		if err := before(ctx); err != nil {
			return mint.Minted{}, err
		}
	}
	var private *rsa.PrivateKey
	var key jwks.Key
	if unsigned || claims == nil { // nobody will ask a tombstone to verify anything
		key, err = jwks.FromModulus(testkit.Modulus())
	} else {
		private = testkit.PrivateKey()
		key, err = jwks.FromPublicKey(&private.PublicKey)
	}
	if err != nil || claims == nil {
		return mint.Minted{Key: key}, err
	}
	payload, err := claims()
	header := testkit.Header
	if payload.Type == jwks.TypeAccessToken {
		header = testkit.AccessHeader
	}
	if err != nil {
		return mint.Minted{}, err
	}
	token := jwks.Token(testkit.Sign(private, header(key.KID().String()), string(payload.Payload)))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.minted = append(m.minted, token)
	return mint.Minted{Key: key, Token: token}, nil
}

// set changes the options for the next keys.
func (m *quickMinter) set(change func(*quickMinter)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *quickMinter) tokens() []jwks.Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]jwks.Token(nil), m.minted...)
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
