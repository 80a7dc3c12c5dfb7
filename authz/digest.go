package authz

import (
	"crypto/sha256"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// digest tells a request from others under the same idempotency key. Two that mean the same
// have the same: JSON is brought to one form (RFC 8785). Nil where nothing is to be told apart:
// a form of the page has an idempotency key of its own.
func (r *IssueRequest) digest() []byte {
	if r.IdempotencyKey == "" || r.Session != nil {
		return nil
	}
	return digestOf("issue", r.Owner, r.Name, r.Scopes, r.Audience, r.ExpiresIn, r.NeverExpires, r.Until, canonical(r.Claims), canonical(r.Metadata))
}

// digest is as IssueRequest's, for the rotation of a key.
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
	if err != nil { // what it is of is refused for that elsewhere
		return nil
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// canonical is a JSON object in its canonical form, and {} where there is none.
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
