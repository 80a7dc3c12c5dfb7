package jwks

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxBetween bounds the memory for reading a set: the bytes of one JWK, or of everything outside of the JWKs.
const maxBetween = 1 << 20

// ReadSet reads a JWK set (RFC 7517 section 5) to the end of r and yields its keys one by one. It accepts
// what ParseSet accepts, but limits each JWK, and the rest of the set, to 1 MiB. The yielded keys must not be
// used unless ReadSet returns nil. Errors wrap ErrKey or come from r or yield.
func ReadSet(r io.Reader, yield func(Key) error) error {
	return readSetWith(r, yield, func(dec *jsontext.Decoder, _ *allowance, _ string) error { return notSetIf(skip(dec)) })
}

// readSetWith does the same as ReadSet but passes the values of other members to `other`.
func readSetWith(r io.Reader, yield func(Key) error, other func(dec *jsontext.Decoder, in *allowance, name string) error) error {
	in := &allowance{r: r, left: maxBetween}
	err := readSet(jsontext.NewDecoder(in), in, yield, other)
	if err != nil && in.err != nil {
		return in.err
	}
	return err
}

func readSet(dec *jsontext.Decoder, in *allowance, yield func(Key) error,
	other func(dec *jsontext.Decoder, in *allowance, name string) error,
) error {
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return notSet(err)
	}
	found := false
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return notSet(err)
		}
		if text := name.String(); text != "keys" {
			if err := other(dec, in, text); err != nil {
				return err
			}
			continue
		}
		found = true
		if err := readKeys(dec, in, yield); err != nil {
			return err
		}
	}
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '}' || !found {
		return notSet(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: unexpected data after the JWK set", ErrKey)
	}
	return nil
}

// skip skips an unknown value. It returns an error if the value is nested too deeply.
func skip(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if _, deep := TooDeep(value, MaxDepth); deep {
		return fmt.Errorf("nested deeper than %d levels", MaxDepth)
	}
	return nil
}

func readKeys(dec *jsontext.Decoder, in *allowance, yield func(Key) error) error {
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '[' {
		return notSet(err)
	}
	for i := 0; dec.PeekKind() != ']'; i++ {
		jwk, err := dec.ReadValue()
		if err != nil {
			return notSet(err)
		}
		key, err := readKey(jwk)
		if err != nil {
			return fmt.Errorf("key %d of the set: %w", i, err)
		}
		if err := yield(key); err != nil {
			return err
		}
		in.left = maxBetween
	}
	if _, err := dec.ReadToken(); err != nil {
		return notSet(err)
	}
	return nil
}

func notSetIf(err error) error {
	if err != nil {
		return notSet(err)
	}
	return nil
}

func notSet(err error) error {
	if err == nil {
		return fmt.Errorf("%w: not a JWK set", ErrKey)
	}
	return fmt.Errorf("%w: not a JWK set: %w", ErrKey, err)
}

// allowance is a reader that reads at most `left` bytes. It stores the error of r, so that ReadSet does not
// report it as a syntax error.
type allowance struct {
	r    io.Reader
	left int
	err  error
}

func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		a.err = fmt.Errorf("%w: a JWK, or the rest of the set, is longer than %d bytes", ErrKey, maxBetween)
		return 0, a.err
	}
	n, err := a.r.Read(p[:min(len(p), a.left)])
	a.left -= n
	if err != nil && !errors.Is(err, io.EOF) {
		a.err = err
	}
	return n, err
}
