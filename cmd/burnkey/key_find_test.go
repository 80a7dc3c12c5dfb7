package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// The text of a key itself is not among the names that are sent.
func TestNamesOfKeys(t *testing.T) {
	const secret, pepper = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo", "sixteen bytes or more"
	file := filepath.Join(t.TempDir(), "pepper")
	testkit.Check(t, os.WriteFile(file, []byte(pepper+"\n"), 0o600))
	key := testkit.PrivateKey()
	pub, err := jwks.FromPublicKey(&key.PublicKey)
	testkit.Check(t, err)
	kid := pub.KID().String()
	token := testkit.Sign(key, testkit.Header(kid), `{"iss":"i","sub":"a","aud":["x"],"jti":"j","iat":1}`)
	for text, want := range map[string]string{
		"Bearer " + secret: jwks.SHA256Digest(secret).String(), secret: jwks.HMACDigest([]byte(pepper), secret).String(), `"` + token + `"`: kid,
	} {
		names, err := namesOf(strings.NewReader(text), file)
		if err != nil || !slices.Contains(names, want) || strings.Contains(strings.Join(names, " "), secret) {
			t.Errorf("%v, %v", names, err)
		}
	}
	names, err := namesOf(strings.NewReader("Bearer "+secret), file)
	testkit.Check(t, err)
	if slices.Index(names, jwks.HMACDigest([]byte(pepper), secret).String()) > slices.Index(names, jwks.SHA256Digest(secret).String()) {
		t.Error("the SHA-256 of a key with a pepper is sent")
	}
	if names, err := namesOf(strings.NewReader(" \n"), ""); err == nil {
		t.Errorf("nothing has the names %v", names)
	}
}
