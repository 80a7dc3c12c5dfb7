package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func TestStatusAndDue(t *testing.T) {
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	next := uuid.Must(uuid.NewV7())
	for _, c := range []struct {
		name   string
		key    store.Key
		status store.Status
		due    time.Time
	}{
		{"never expires", store.Key{}, store.Active, time.Time{}},
		{"expires later", store.Key{ExpiresAt: at(1)}, store.Active, at(1)},
		{"expires now", store.Key{ExpiresAt: at(0)}, store.Expired, at(0)},
		{"was removed for its age", store.Key{ExpiresAt: at(0), ExpiredVersion: 3}, store.Expired, time.Time{}},
		{"was removed by a clock that is ahead", store.Key{ExpiresAt: at(1), ExpiredVersion: 3}, store.Expired, time.Time{}},
		{"revoked", store.Key{ExpiresAt: at(1), RevokedAt: at(-1), RevokedVersion: 3}, store.Revoked, time.Time{}},
		{"revoked by a clock that is ahead", store.Key{RevokedAt: at(1), RevokedVersion: 3}, store.Revoked, time.Time{}},
		{"expired and revoked", store.Key{ExpiresAt: at(-1), ExpiredVersion: 3, RevokedAt: at(0)}, store.Revoked, time.Time{}},
		{"in its grace", store.Key{RotatedTo: next, GraceEndsAt: at(1)}, store.Deprecated, at(1)},
		{"in its grace, and expires later", store.Key{RotatedTo: next, GraceEndsAt: at(1), ExpiresAt: at(2)}, store.Deprecated, at(1)},
		{"after its grace", store.Key{RotatedTo: next, GraceEndsAt: at(0), ExpiresAt: at(2)}, store.Revoked, at(0)},
		{"both end at once", store.Key{RotatedTo: next, GraceEndsAt: at(0), ExpiresAt: at(0)}, store.Revoked, at(0)},
	} {
		if got := c.key.Status(now); got != c.status {
			t.Errorf("%s: status %s, want %s", c.name, got, c.status)
		}
		if got := c.key.DueAt(); !got.Equal(c.due) {
			t.Errorf("%s: due at %v, want %v", c.name, got, c.due)
		}
		if got, want := c.key.IsDue(now), !c.due.IsZero() && !c.due.After(now); got != want {
			t.Errorf("%s: due: %v, want %v", c.name, got, want)
		}
	}
}
