package jwks

import (
	"net/http"
	"strconv"
	"time"
)

// DefaultExpiryNotice is the usual time before its end during which a key counts as expiring.
const DefaultExpiryNotice = 30 * 24 * time.Hour

// States of a key that is accepted, as the header X-Key-Status has them.
const (
	KeyActive   = "active"
	KeyRotated  = "rotated"  // it has a successor, and is in its grace
	KeyExpiring = "expiring" // it ends soon, without a successor
)

// A Lifecycle is what clients learn about the end of the key that they use. The headers Deprecation (RFC 9745) and
// Sunset (RFC 8594) are for a key that has a successor or ends soon.
type Lifecycle struct {
	Status string // KeyActive, KeyRotated or KeyExpiring
	// Since is when the key got a successor or when its last days began; zero if it is active, or if the time is unknown.
	Since time.Time
	Ends  time.Time // zero if it is active
}

// Lifecycle returns the state of the key at the time now. A key is expiring for the time notice before it ends; 0: never.
// If the token has a parent, that is the key, and its end is known only from its attributes.
func (c *Claims) Lifecycle(now time.Time, notice time.Duration) Lifecycle {
	ends := c.ends()
	if c.HasParent() {
		ends = earlier(c.Attributes.ExpiresAt, c.Attributes.EndsAt)
	}
	switch begins := ends.Add(-notice); {
	case c.Attributes.inGrace():
		return Lifecycle{KeyRotated, c.Attributes.RotatedAt, ends}
	case notice <= 0 || ends.IsZero() || now.Before(begins):
		return Lifecycle{Status: KeyActive}
	default:
		if issued := time.Unix(c.IssuedAt, 0); begins.Before(issued) && !c.HasParent() {
			begins = issued
		}
		return Lifecycle{KeyExpiring, begins, ends}
	}
}

// ends returns when the token expires or the grace of its key ends, whichever is first; zero: never.
func (c *Claims) ends() time.Time { return earlier(c.ExpiresAt(), c.Attributes.EndsAt) }

// earlier returns the earlier of two times; a zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Headers calls set with each header and its value.
func (l *Lifecycle) Headers(set func(name, value string)) {
	set("X-Key-Status", l.Status)
	if !l.Since.IsZero() {
		set("Deprecation", "@"+strconv.FormatInt(l.Since.Unix(), 10))
	}
	if !l.Ends.IsZero() {
		set("Sunset", l.Ends.UTC().Format(http.TimeFormat))
	}
}
