package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
)

// Limits of a secret, in bytes. Standard Webhooks requires at least 192 bits.
const (
	minSecret = 24
	maxSecret = 1024
)

var prefix = []byte("whsec_")

// Secret signs messages. It redacts itself when printed.
type Secret []byte

// String redacts the secret.
func (Secret) String() string { return "[secret]" }

// GoString redacts the secret.
func (s Secret) GoString() string { return s.String() }

// LogValue redacts the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// ParseSecret decodes whsec_ and base64. It uses any other text as it is, without white space at both ends.
// Errors do not contain the secret.
func ParseSecret(text []byte) (Secret, error) {
	text = bytes.TrimSpace(text)
	if encoded, is := bytes.CutPrefix(text, prefix); is {
		decoded, err := base64.StdEncoding.Strict().DecodeString(string(encoded))
		if err != nil {
			return nil, errors.New("the part after whsec_ must be base64")
		}
		text = decoded
	}
	if len(text) < minSecret || len(text) > maxSecret {
		return nil, fmt.Errorf("must have %d to %d bytes", minSecret, maxSecret)
	}
	return Secret(bytes.Clone(text)), nil
}

// sign returns the value of webhook-signature.
func (s Secret) sign(id, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, s)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
