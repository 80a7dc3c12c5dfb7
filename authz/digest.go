package authz

import (
	"crypto/sha256"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// digest identifies a request, so that another request under the same idempotency key is detected. Requests
// with the same meaning have the same digest: JSON is made canonical (RFC 8785). It is nil without an
// idempotency key, and for the portal, where each form has a new idempotency key.
func (r *IssueRequest) digest() []byte {
	if r.IdempotencyKey == "" || r.Session != nil {
		return nil
	}
	parts := []any{
		"issue", r.Owner, r.Name, r.Scopes, r.Audience, r.ExpiresIn, r.NeverExpires, r.Until, canonical(r.Claims), canonical(r.Metadata),
	}
	if len(r.AllowedIPs) > 0 || r.Plan != "" || len(r.Limits) > 0 { // otherwise the digest is that of an older server
		parts = append(parts, r.AllowedIPs, r.Plan, r.Limits)
	}
	if r.Parent != uuid.Nil {
		parts = append(parts, "parent", r.Parent.String())
	}
	return digestOf(parts...)
}

// digest is like that of IssueRequest, for a rotation of the key with this id.
func (r *RotateRequest) digest(id uuid.UUID) []byte {
	if r.IdempotencyKey == "" || r.Session != nil {
		return nil
	}
	grace := DefaultGrace
	if r.Grace != nil {
		grace = *r.Grace
	}
	return digestOf("rotate", id.String(), int64(grace/time.Nanosecond))
}

func digestOf(parts ...any) []byte {
	text, err := json.Marshal(parts)
	if err != nil { // such a request is refused by other checks
		return nil
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// canonical returns a JSON object in canonical form. For no object, it returns {}.
func canonical(object []byte) jsontext.Value {
	if len(object) == 0 {
		return jsontext.Value(`{}`)
	}
	value := jsontext.Value(object).Clone()
	if value.Canonicalize() != nil {
		return jsontext.Value(`null`)
	}
	return value
}
