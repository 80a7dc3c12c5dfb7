package api

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ofRepeated returns the problem of an Idempotency-Key that was used before, for the same request or another.
func ofRepeated(e *store.IdempotencyError) *Problem {
	p := newProblem(kindRepeated, "This Idempotency-Key has issued the key "+e.ID.String()+
		"; only that answer contained its token. If the token is lost, revoke the key and use another Idempotency-Key.")
	if e.Other {
		p = newProblem(kindReused, "This Idempotency-Key was used for another request, which issued the key "+
			e.ID.String()+". Use a new Idempotency-Key for each request.").field("Idempotency-Key", "was used with another body")
	}
	p.KeyID = e.ID.String()
	return p
}

// ofState returns a problem with the state of a key and the possible next steps.
func ofState(e *authz.StateError) *Problem {
	k, next := &e.Key, "issue another one in its place."
	if k.RotatedTo != uuid.Nil {
		next = "its successor is " + k.RotatedTo.String() + "."
	}
	text := "The key " + k.ID.String()
	switch e.Status {
	case store.Deprecated:
		text += " was rotated and is in its grace until " + stamp(k.GraceEndsAt) + "; " + next + " Rotate that one, or undo the rotation first."
	case store.Suspended:
		text += " has been suspended since " + stamp(k.SuspendedAt) + ". Resume it first."
	case store.Revoked:
		since := k.RevokedAt
		if since.IsZero() { // its grace is over, and it will be revoked soon
			since = k.GraceEndsAt
		}
		text += " was revoked at " + stamp(since) + "; " + next
	case store.Expired:
		text += " expired at " + stamp(k.ExpiresAt) + "; " + next
	default:
		text += " is active and was not rotated: there is no grace to end, and no rotation to undo."
	}
	p := newProblem(kindState, text)
	p.KeyID = optionalID(k.RotatedTo)
	return p
}

func ofLimit(e *authz.LimitError) *Problem {
	most, which, way := strconv.Itoa(e.Most), "active keys", "Revoke one of them first."
	if e.InGrace {
		which, way = "keys in a grace", "End the grace of one of them first."
	}
	return newProblem(kindOwnerLimit, "The owner has as many "+which+" as the workspace allows, which is "+most+". "+way).
		field("owner", "must have at most "+most+" "+which+" (keys_per_owner of the workspace's policy)")
}

func ofFullLimits(e *authz.LimitsFullError) *Problem {
	which := "limits of " + strconv.Itoa(e.Most) + " " + e.On + "s"
	if e.On == jwks.OnPlan {
		which = strconv.Itoa(e.Most) + " plans"
	}
	return newProblem(kindLimitsFull, "The workspace has "+which+", which is the maximum. Delete some of them first.")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
