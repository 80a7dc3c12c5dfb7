package main

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

// importLine is one key of a file. Its text is not kept.
type importLine struct {
	place string // in the file
	key   client.ImportKey
	weak  bool
	err   error // why it can't be imported
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
		l.err = errors.New("the key is empty")
	case strings.HasPrefix(jwt, jwks.TokenPrefix):
		l.err = errors.New("the key looks like a token of Burnkey, which can't be imported")
	case len(r.pepper) > 0:
		l.key.Digest = jwks.HMACDigest(r.pepper, key).String()
	default:
		l.key.Digest = jwks.SHA256Digest(key).String()
	}
	l.weak = bitsOf(key) < 128
}

var errSlowHash = errors.New("the hash is of bcrypt or argon2, so no key can be looked up by it. Have the old system verify each key " +
	"once, and import its SHA-256 then")

// hash completes a line with a digest that the file has. Without an algorithm, it is SHA-256.
func (l *importLine) hash(text string) {
	switch {
	case strings.HasPrefix(text, "$2"), strings.HasPrefix(text, "$argon2"):
		l.err = errSlowHash
		return
	case !strings.Contains(text, ":"):
		text = "sha256:" + text
	}
	digest, err := jwks.ParseDigest(text)
	l.key.Digest, l.err = digest.String(), err
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
	} else if !l.key.ExpiresAt.After(r.now) && l.err == nil {
		l.err = errors.New("the key has expired")
	}
	if l.key.Owner == "" && l.err == nil {
		l.err = errors.New("the key has no owner")
	}
	return *l
}

// csv reads a table whose first row names the columns.
func (r *importReader) csv(text []byte) (lines []importLine, err error) {
	in := csv.NewReader(bytes.NewReader(text))
	in.TrimLeadingSpace = true
	names, err := in.Read()
	if err != nil {
		return nil, err
	}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		at, _ := in.FieldPos(0)
		l := importLine{place: fmt.Sprintf("line %d", at)}
		for i, value := range row {
			if value == "" {
				continue
			}
			if err := r.column(&l, names[i], value); err != nil {
				return nil, fmt.Errorf("line %d: column %s: %w", at, names[i], err)
			}
		}
		if l.key.Digest == "" && l.err == nil {
			l.err = errors.New("neither the column key nor digest has a value")
		}
		lines = append(lines, r.finish(&l))
	}
}

func (r *importReader) column(l *importLine, name, value string) (err error) {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "key":
		r.secret(l, value)
	case "digest", "hash":
		l.hash(value)
	case "owner":
		l.key.Owner = value
	case "name":
		l.key.Name = value
	case "scopes":
		l.key.Scopes = strings.Fields(value)
	case "audience":
		l.key.Audience = strings.Fields(value)
	case "allowed_ips":
		l.key.AllowedIPs = strings.Fields(value)
	case "plan":
		l.key.Plan = value
	case "expires_at":
		at, err := asTime(value, nil)
		if err != nil {
			return err
		}
		l.key.ExpiresAt = at.(time.Time)
	case "never_expires":
		l.key.NeverExpires, err = strconv.ParseBool(value)
	case "metadata":
		l.key.Metadata, err = jsonFlag("metadata", value)
	default:
		return errors.New("must be one of key, digest, owner, name, scopes, audience, expires_at, never_expires, plan, allowed_ips, metadata")
	}
	return err
}

// jsonl reads lines with the members of the API, and key.
func (r *importReader) jsonl(text []byte) (lines []importLine, err error) {
	for at, line := range bytes.Split(text, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var in struct {
			client.ImportKey
			Key string `json:"key"`
		}
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&in); err != nil {
			return nil, fmt.Errorf("line %d: not an object with the members of the API", at+1)
		}
		l := importLine{place: fmt.Sprintf("line %d", at+1), key: in.ImportKey}
		if in.Key != "" {
			r.secret(&l, in.Key)
		} else {
			l.hash(in.Digest)
		}
		lines = append(lines, r.finish(&l))
	}
	return lines, nil
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
			l.err = errors.New("the hash must be SHA-256")
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
