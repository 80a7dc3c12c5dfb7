package mint

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz/mint/burn"
)

// signature returns the signature of a token.
func signature(t *testing.T, token string) []byte {
	t.Helper()
	sig, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestConverseBelievesNoLie(t *testing.T) {
	const payload, other = `{"sub":"one"}`, `{"sub":"two"}`
	mine, foreign := pairs()[0], pairs()[1]
	modulus := mine.key.Modulus()
	good := signature(t, mine.token(payload))
	kid := mine.key.KID().String()
	with := func(change func(n []byte)) []byte {
		n := bytes.Clone(modulus)
		change(n)
		return n
	}

	for _, test := range []struct {
		name, payload string
		says          [][]byte
		accepted      bool
	}{
		{"the truth", payload, [][]byte{modulus, good}, true},
		{"the truth about a tombstone", "", [][]byte{modulus}, true},
		{"another payload", payload, [][]byte{modulus, signature(t, mine.token(other))}, false},
		{"the same except white space", payload, [][]byte{modulus, signature(t, mine.token(`{"sub": "one"}`))}, false},
		{"another key", payload, [][]byte{foreign.key.Modulus(), good}, false},
		{
			"signed by another key", payload,
			[][]byte{modulus, signature(t, foreign.sign(`{"alg":"RS256","kid":"`+kid+`","typ":"JWT"}`, payload))},
			false,
		},
		{"another header", payload, [][]byte{modulus, signature(t, mine.sign(`{"alg":"RS256","typ":"JWT","kid":"`+kid+`"}`, payload))}, false},
		{"a cut signature", payload, [][]byte{modulus, good[:burn.SignatureLen-1]}, false},
		{"no signature", payload, [][]byte{modulus}, false},
		{"a signature of nothing", payload, [][]byte{modulus, make([]byte, burn.SignatureLen)}, false},
		{"a signature where none was asked for", "", [][]byte{modulus, good}, false},
		{"more bytes", payload, [][]byte{modulus, good, {0}}, false},
		{"more after a tombstone", "", [][]byte{modulus, {'\n'}}, false},
		{"half a key", "", [][]byte{modulus[:burn.ModulusLen/2]}, false},
		{"an even modulus", "", [][]byte{with(func(n []byte) { n[len(n)-1] &^= 1 })}, false},
		{"a short modulus", "", [][]byte{with(func(n []byte) { n[0] = 0 })}, false},
		{"no key", payload, nil, false},
		{"words", payload, [][]byte{[]byte(strings.Repeat("private", 512))}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked bytes.Buffer
			minted, err := converse(bytes.NewReader(slices.Concat(test.says...)), &asked, Claims{Payload: []byte(test.payload)})
			if test.accepted {
				if err != nil || minted.Key != mine.key || (minted.Token != "") != (test.payload != "") {
					t.Fatalf("got %v, %v", minted, err)
				}
				if want := 1 + 32*min(1, len(test.payload)); asked.Len() != want {
					t.Errorf("%d bytes were sent, not %d", asked.Len(), want)
				}
				return
			}
			if err == nil {
				t.Fatalf("got %v", minted)
			}
			if text := err.Error(); strings.Contains(text, "sub") || strings.Contains(text, "private") || strings.Contains(text, kid) {
				t.Errorf("the error quotes what crossed the pipes: %s", text)
			}
		})
	}
}

// deaf is a process that never reads.
type deaf struct{ hears int }

func (d *deaf) Write(p []byte) (int, error) {
	if d.hears--; d.hears < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestConverseWithTheDeaf(t *testing.T) {
	for hears := range 2 {
		if minted, err := converse(bytes.NewReader(pairs()[0].key.Modulus()), &deaf{hears}, Claims{Payload: []byte("{}")}); err == nil {
			t.Errorf("hearing %d times it made %v", hears, minted)
		}
	}
}

// Minted keys and errors of minting can be logged without revealing a token.
func TestMintedHidesItsToken(t *testing.T) {
	minted := Minted{Key: pairs()[0].key, Token: "eyJ.secret.token"}
	for _, shown := range []string{
		fmt.Sprint(minted), fmt.Sprintf("%+v %#v %s %x", minted, minted, minted.Token, minted.Token),
		mustJSON(t, minted),
	} {
		if strings.Contains(shown, "secret") {
			t.Errorf("shows its token: %s", shown)
		}
	}
}

// An answer with extra bytes is refused.
func TestOneKeyStopsListening(t *testing.T) {
	m := newMinter(t, Options{Workers: 1})
	m.binary = role(t, "flood")
	if _, err := m.Mint(t.Context(), Asker{Workspace: "acme"}, nil); !errors.Is(err, ErrFailed) {
		t.Errorf("got %v", err)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
