package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

// importLine is one key of a file. Its text is not kept.
type importLine struct {
	place string // in the file
	at    int    // the number of lines before it
	key   client.ImportKey
	err   error // why it can't be imported

	weak      bool // a thief of its digest can find the key by trying
	notBearer bool // the key can't be sent as Authorization: Bearer
}

// importReader reads files of keys.
type importReader struct {
	now          time.Time
	file         string
	pepper       []byte // nil: none
	neverExpires bool
}

var importReaders = map[string]func(*importReader, []byte) ([]importLine, error){
	"csv": (*importReader).csv, "jsonl": (*importReader).jsonl, "kong": (*importReader).kong, "unkey": (*importReader).unkey,
	"envoy-gateway": (*importReader).envoyGateway, "kuadrant": (*importReader).kuadrant,
}

func importFormats() []string {
	return []string{"auto", "csv", "jsonl", "kong", "unkey", "envoy-gateway", "kuadrant"}
}

func (r *importReader) read(format string, text []byte) ([]importLine, error) {
	if !slices.Contains(importFormats(), format) {
		return nil, fmt.Errorf("--format: must be %s", strings.Join(importFormats(), ", "))
	}
	if format == "auto" {
		if format = guessImport(r.file, text); format == "" {
			return nil, errors.New("unknown format: name it with --format")
		}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("the file is empty")
	}
	lines, err := importReaders[format](r, text)
	if err == nil && len(lines) == 0 {
		err = fmt.Errorf("no keys in the format %s", format)
	}
	return lines, err
}

// guessImport returns the format of a file, or an empty string.
func guessImport(name string, text []byte) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return "csv"
	case ".jsonl", ".ndjson":
		return "jsonl"
	}
	begin := string(text[:min(len(text), 64<<10)])
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(begin, word) })
	}
	switch {
	case has("authorino.kuadrant.io/", "secret.kuadrant.io/"):
		return "kuadrant"
	case has("kind: Secret", `"kind": "Secret"`, `"kind":"Secret"`):
		return "envoy-gateway"
	case has("keyauth_credentials", `"consumer":`, `"consumer" :`):
		return "kong"
	case has(`"hash"`):
		return "unkey"
	}
	return ""
}

// secret completes a line with the digest of a key.
func (r *importReader) secret(l *importLine, key string) {
	_, jwt := jwks.CutPrefix(key)
	switch {
	case key == "":
		l.fail(errors.New("the key is empty"))
	case strings.HasPrefix(jwt, jwks.TokenPrefix):
		l.fail(errors.New("the key looks like a token of Burnkey, which can't be imported"))
	case cryptHash.MatchString(key): // imported as a key, the hash itself would open the gateway to its thief
		l.fail(errSlowHash)
	case len(key) > jwks.MaxTokenLen:
		l.fail(fmt.Errorf("the key is longer than %d bytes, so no gateway accepts it", jwks.MaxTokenLen))
	case len(r.pepper) > 0:
		l.digest(jwks.HMACDigest(r.pepper, key))
	default:
		l.digest(jwks.SHA256Digest(key))
	}
	l.weak = bitsOf(key) < 128
	_, no := jwks.BearerToken("Bearer " + key)
	l.notBearer = no != nil
}

var (
	errSlowHash = errors.New("a key can't be looked up by a salted hash, such as that of bcrypt or argon2. Have the old system verify each " +
		"key once, then import its SHA-256")
	errTwoKeys = errors.New("must have either a key or a digest, not both")
)

// cryptHash matches hashes in the form of crypt(3), $ALGORITHM$…: bcrypt, argon2, scrypt and others.
var cryptHash = regexp.MustCompile(`^\$[a-z0-9-]+\$`)

// hash completes a line with a digest that the file has. Without an algorithm, it is SHA-256.
func (l *importLine) hash(text string) {
	if cryptHash.MatchString(text) {
		l.fail(errSlowHash)
		return
	}
	if !strings.Contains(text, ":") {
		text = "sha256:" + text
	}
	digest, err := jwks.ParseDigest(text)
	if err != nil {
		l.fail(err)
		return
	}
	l.digest(digest)
}

func (l *importLine) digest(d jwks.Digest) {
	if l.key.Digest != "" {
		l.fail(errTwoKeys)
	}
	l.key.Digest = d.String()
}

// fail records why a line can't be imported. Only the first error counts.
func (l *importLine) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// bitsOf returns the most bits that a random key of this length and these characters can have.
func bitsOf(key string) float64 {
	if _, err := hex.DecodeString(key); err == nil {
		return float64(len(key)) * 4
	}
	var digits, lower, upper, others float64
	for _, c := range []byte(key) {
		switch {
		case c >= '0' && c <= '9':
			digits = 10
		case c >= 'a' && c <= 'z':
			lower = 26
		case c >= 'A' && c <= 'Z':
			upper = 26
		default:
			others = 2
		}
	}
	return float64(len(key)) * math.Log2(max(1, digits+lower+upper+others))
}

// finish sets the expiry of keys that have none.
func (r *importReader) finish(l *importLine) importLine {
	if l.key.ExpiresAt.IsZero() {
		l.key.NeverExpires = l.key.NeverExpires || r.neverExpires
	} else if !l.key.ExpiresAt.After(r.now) {
		l.fail(errors.New("the key has expired"))
	}
	if l.key.Owner == "" {
		l.fail(errors.New("the key has no owner"))
	}
	return *l
}

// unkeyKey is a key as the body of Unkey's migrateKeys has it.
type unkeyKey struct {
	Hash       json.RawMessage `json:"hash"` // a text, or {"value":…,"variant":"sha256_base64"}
	Name       string          `json:"name"`
	ExternalID string          `json:"externalId"`
	OwnerID    string          `json:"ownerId"`
	Identity   struct {
		ExternalID string `json:"externalId"`
	} `json:"identity"`
	KeyID       string          `json:"keyId"`
	Meta        json.RawMessage `json:"meta"`
	Permissions []string        `json:"permissions"`
	Expires     int64           `json:"expires"` // milliseconds since 1970
	Enabled     *bool           `json:"enabled"`
	Ratelimits  []struct {
		Name     string `json:"name"`
		Limit    uint32 `json:"limit"`
		Duration int64  `json:"duration"` // milliseconds
	} `json:"ratelimits"`
}

// unkey reads an array of keys, or an object with the array as keys or data.
func (r *importReader) unkey(text []byte) (lines []importLine, err error) {
	var in struct{ Keys, Data []unkeyKey }
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		err = json.Unmarshal(text, &in.Keys)
	} else {
		err = json.Unmarshal(text, &in)
	}
	if err != nil {
		return nil, errors.New("not JSON with the keys of Unkey")
	}
	for i, k := range append(in.Keys, in.Data...) {
		lines = append(lines, r.unkeyLine(i, &k))
	}
	return lines, nil
}

func (r *importReader) unkeyLine(i int, k *unkeyKey) importLine {
	l := importLine{place: fmt.Sprintf("key %d", i+1), key: client.ImportKey{
		Owner: firstOf(k.ExternalID, k.Identity.ExternalID, k.OwnerID), Name: firstOf(k.Name, k.KeyID), Scopes: k.Permissions, Metadata: k.Meta,
	}}
	if string(k.Meta) == "null" {
		l.key.Metadata = nil
	}
	if k.Expires > 0 {
		l.key.ExpiresAt = time.UnixMilli(k.Expires).UTC()
	}
	for _, limit := range k.Ratelimits {
		l.key.Limits = append(l.key.Limits, jwks.Limit{Name: limit.Name, Requests: limit.Limit, Seconds: uint32(max(1, limit.Duration/1000))})
	}
	var hash string
	var variant struct{ Value, Variant string }
	if json.Unmarshal(k.Hash, &hash) != nil {
		if json.Unmarshal(k.Hash, &variant) != nil || !strings.HasPrefix(variant.Variant, "sha256_") {
			l.fail(errors.New("the hash must be SHA-256"))
		}
		hash = variant.Value
	}
	if l.err == nil {
		l.hash(hash)
	}
	if k.Enabled != nil && !*k.Enabled {
		l.err = errors.New("the key is disabled")
	}
	return r.finish(&l)
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// fromBase64 returns the value of a Secret's data.
func fromBase64(text string) (string, error) {
	value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	return string(value), err
}
