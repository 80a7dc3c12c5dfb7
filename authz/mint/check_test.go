package mint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

func TestCheckRefusesEveryLie(t *testing.T) {
	const payload, other = `{"sub":"one"}`, `{"sub":"two"}`
	mine, foreign := pairs()[0], pairs()[1]
	good := mine.token(t, payload)
	public := mustJSON(t, mine.key)
	private, err := jwk.FromRaw(mine.private)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(key, token string) string { return fmt.Sprintf(`{"key":%s,"token":%q}`, key, token) }
	badKID := strings.Replace(public, mine.key.KID().String(), foreign.key.KID().String(), 1)

	for _, test := range []struct {
		name, output, payload string
		accepted              bool
	}{
		{"the truth", answer(public, good) + "\n", payload, true},
		{"the truth about a tombstone", `{"key":` + public + `}`, "", true},
		{"another payload", answer(public, mine.token(t, other)), payload, false},
		{"the same but for white space", answer(public, mine.token(t, `{"sub": "one"}`)), payload, false},
		{"another key", answer(mustJSON(t, foreign.key), good), payload, false},
		{"signed by another key", answer(public, foreign.sign(t, `{"alg":"RS256","kid":"`+mine.key.KID().String()+`","typ":"JWT"}`, payload)), payload, false},
		{"a kid that is not the key's", answer(badKID, good), payload, false},
		{"another header", answer(public, mine.sign(t, `{"alg":"RS256","typ":"JWT","kid":"`+mine.key.KID().String()+`"}`, payload)), payload, false},
		{"a cut signature", answer(public, good[:len(good)-4]), payload, false},
		{"no token", answer(public, ""), payload, false},
		{"no key", fmt.Sprintf(`{"token":%q}`, good), payload, false},
		{"a null key", answer("null", good), payload, false},
		{"a token where none was asked for", answer(public, good), "", false},
		{"a private JWK", answer(mustJSON(t, private), good), payload, false},
		{"a symmetric JWK", answer(`{"kty":"oct","k":"AAAA"}`, good), payload, false},
		{"trailing data", answer(public, good) + "{}", payload, false},
		{"two answers", strings.Repeat(answer(public, good)+"\n", 2), payload, false},
		{"junk", "\x00\xff", payload, false},
		{"nothing", "", payload, false},
		{"null", "null", payload, false},
		{"a list", "[]", payload, false},
		{"half of it", answer(public, good)[:300], payload, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			minted, err := check([]byte(test.output), []byte(test.payload))
			if test.accepted {
				if err != nil || minted.Key != mine.key || (minted.Token != "") != (test.payload != "") {
					t.Fatalf("got %v, %v", minted, err)
				}
				return
			}
			if !errors.Is(err, ErrFailed) || minted != (Minted{}) {
				t.Fatalf("got %v, %v, want nothing and ErrFailed", minted, err)
			}
			if text := err.Error(); strings.Contains(text, good[:40]) || strings.Contains(text, "sub") || strings.Contains(text, `"d"`) {
				t.Errorf("the error quotes the answer: %s", text)
			}
		})
	}
}

// What is minted and every error of minting may end up in a log.
func TestMintedHidesItsToken(t *testing.T) {
	minted := Minted{Key: pairs()[0].key, Token: "eyJ.secret.token"}
	for _, shown := range []string{fmt.Sprint(minted), fmt.Sprintf("%+v %#v %s %x", minted, minted, minted.Token, minted.Token), mustJSON(t, minted)} {
		if strings.Contains(shown, "secret") {
			t.Errorf("shows its token: %s", shown)
		}
	}
}

// io.Copy, by which os/exec fills the writer, looks for shortcuts past Write.
func TestBoundedBoundsACopy(t *testing.T) {
	for _, size := range []int{0, 1, maxMessage, maxMessage + 1, 3 * maxMessage} {
		out := &bounded{left: maxMessage}
		_, err := io.Copy(out, struct{ io.Reader }{bytes.NewReader(make([]byte, size))})
		if (err != nil) != (size > maxMessage) {
			t.Errorf("%d bytes: error %v", size, err)
		}
		if out.buf.Len() > maxMessage {
			t.Errorf("%d bytes: kept %d", size, out.buf.Len())
		}
	}
	if _, ok := any(&bounded{}).(io.ReaderFrom); ok {
		t.Error("bounded has a way around its bound")
	}
}

// The process itself refuses what is no request, and answers nothing.
func TestProcessRefusesJunk(t *testing.T) {
	for _, input := range []string{"", "junk", `{"payload":1}`, `{"payload":"not base64!"}`, `{"payload":"` + strings.Repeat("A", maxMessage)} {
		var out bytes.Buffer
		if err := process(strings.NewReader(input), &out); err == nil || out.Len() > 0 {
			t.Errorf("%.20q: error %v, %d bytes of answer", input, err, out.Len())
		}
	}
}

// The answer has no place in which a private half could travel.
func TestProcessAnswersPublicMembersOnly(t *testing.T) {
	var out bytes.Buffer
	if err := process(strings.NewReader(`{"payload":"e30="}`), &out); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Key   map[string]string `json:"key"`
		Token string            `json:"token"`
	}
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for name := range answer.Key {
		if !strings.Contains(" kty use alg kid n e ", " "+name+" ") {
			t.Errorf("the key has a member %s", name)
		}
	}
	if len(answer.Key) != 6 || answer.Token == "" || decoder.More() {
		t.Errorf("%d members of the key, token of %d bytes, more behind: %t", len(answer.Key), len(answer.Token), decoder.More())
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
