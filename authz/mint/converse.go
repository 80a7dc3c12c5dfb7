package mint

import (
	"crypto/sha256"
	"errors"
	"io"

	"github.com/burnkey/burnkey/authz/mint/burn"
	"github.com/burnkey/burnkey/jwks"
)

// converse makes a minting process generate one key and, unless the payload is empty, sign it. It checks the
// whole answer: the form of the key and of the token, and its signature.
func converse(from io.Reader, to io.Writer, claims Claims) (Minted, error) {
	request := byte(burn.Sign)
	if len(claims.Payload) == 0 {
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
	if len(claims.Payload) > 0 {
		var err error
		if minted.Token, err = p.token(claims); err != nil {
			return Minted{}, err
		}
	}
	if _, err := io.ReadFull(from, make([]byte, 1)); err != io.EOF {
		return Minted{}, errors.New("the minting process sent too much")
	}
	return minted, nil
}

// process is the parent's view of a minting process.
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

// sign works only once.
func (p *process) sign(digest []byte) ([]byte, error) {
	if _, err := p.to.Write(digest); err != nil {
		return nil, errors.New("the minting process closed its input")
	}
	signature := make([]byte, burn.SignatureLen)
	if _, err := io.ReadFull(p.from, signature); err != nil {
		return nil, errors.New("the minting process sent no signature")
	}
	return signature, nil
}

func (p *process) token(claims Claims) (jwks.Token, error) {
	input := jwks.SigningInput(claims.Type, p.key.KID(), claims.Payload)
	digest := sha256.Sum256([]byte(input))
	signature, err := p.sign(digest[:])
	if err != nil {
		return "", err
	}
	token := jwks.NewToken(input, signature)
	parsed, err := jwks.Parse(token.Reveal())
	if err != nil {
		return "", err
	}
	return token, parsed.Check(p.key)
}
