package mint

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/burnkey/burnkey/authz/mint/burn"
	"github.com/burnkey/burnkey/jwks"
)

// converse makes a minting process generate one key and, unless the payload is empty, sign it. It checks the
// whole answer: the form of the key and of the token, the token's payload and its signature.
func converse(from io.Reader, to io.Writer, payload []byte) (Minted, error) {
	request := byte(burn.Sign)
	if len(payload) == 0 {
		request = burn.Tombstone
	}
	if _, err := to.Write([]byte{request}); err != nil {
		return Minted{}, errors.New("the minting process closed its input")
	}
	p := process{from: from, to: to}
	if err := p.readKey(); err != nil {
		return Minted{}, err
	}
	minted := Minted{Key: p.key}
	if len(payload) > 0 {
		var err error
		if minted.Token, err = p.token(payload); err != nil {
			return Minted{}, err
		}
	}
	if _, err := io.ReadFull(from, make([]byte, 1)); err != io.EOF {
		return Minted{}, errors.New("the minting process sent too much")
	}
	return minted, nil
}

// process is the parent's view of a minting process. It implements crypto.Signer.
type process struct {
	from io.Reader
	to   io.Writer
	key  jwks.Key
}

func (p *process) readKey() (err error) {
	modulus := make([]byte, burn.ModulusLen)
	if _, err := io.ReadFull(p.from, modulus); err != nil {
		return errors.New("the minting process sent no key")
	}
	p.key, err = jwks.FromModulus(modulus)
	return err
}

// Public implements crypto.Signer.
func (p *process) Public() crypto.PublicKey { return p.key.PublicKey() }

// Sign implements crypto.Signer for SHA-256. It works only once.
func (p *process) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("cannot sign %s", opts.HashFunc())
	}
	if _, err := p.to.Write(digest); err != nil {
		return nil, errors.New("the minting process closed its input")
	}
	signature := make([]byte, burn.SignatureLen)
	if _, err := io.ReadFull(p.from, signature); err != nil {
		return nil, errors.New("the minting process sent no signature")
	}
	return signature, nil
}

func (p *process) token(payload []byte) (jwks.Token, error) {
	head := jws.NewHeaders()
	for name, value := range map[string]string{jws.KeyIDKey: p.key.KID().String(), jws.TypeKey: "JWT"} {
		if err := head.Set(name, value); err != nil {
			return "", err
		}
	}
	token, err := jws.Sign(payload, jws.WithKey(jwa.RS256, p, jws.WithProtectedHeaders(head)))
	if err != nil {
		return "", err
	}
	parsed, err := jwks.Parse(string(token))
	if err != nil {
		return "", err
	}
	if !bytes.Equal(parsed.Payload, payload) {
		return "", errors.New("the token has another payload")
	}
	return jwks.Token(token), parsed.Check(p.key)
}
