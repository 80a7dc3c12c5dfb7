package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// lifeOf returns the headers that a request of own's key gets about its life, or the code of its refusal.
func lifeOf(t *testing.T, f *fixture) string {
	t.Helper()
	d := f.Decide(t.Context(), request(own().Bearer("acme")))
	if d.Refusal != nil {
		return d.Refusal.Code()
	}
	var all []string
	for _, h := range d.ResponseHeaders() {
		all = append(all, h.Name+": "+h.Value)
	}
	return strings.Join(all, "\n")
}

func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	clock := testkit.NewClock(now)
	f := limitedGateway(t, func(o *Options) { o.Now, o.ExpiryNotice = clock.Now, 30*24*time.Hour })
	const day = 24 * time.Hour
	for _, step := range []struct {
		name string
		a    jwks.Attributes
		want string
	}{
		{"without end", jwks.Attributes{}, "x-key-status: active"},
		{"long before its end", jwks.Attributes{ExpiresAt: now.Add(31 * day)}, "x-key-status: active"},
		{
			"in its last days",
			jwks.Attributes{ExpiresAt: now.Add(29 * day)},
			"x-key-status: expiring\ndeprecation: @1795953600\nsunset: Tue, 29 Dec 2026 12:00:00 GMT",
		},
		{
			"rotated",
			jwks.Attributes{RotatedAt: now.Add(-day), EndsAt: now.Add(time.Minute)},
			"x-key-status: rotated\ndeprecation: @1795953600\nsunset: Mon, 30 Nov 2026 12:01:00 GMT",
		},
		{
			"rotated, and expires earlier",
			jwks.Attributes{RotatedAt: now.Add(-day), EndsAt: now.Add(day), ExpiresAt: now.Add(time.Minute)},
			"x-key-status: rotated\ndeprecation: @1795953600\nsunset: Mon, 30 Nov 2026 12:01:00 GMT",
		},
		{
			"rotated, nobody knows when",
			jwks.Attributes{EndsAt: now.Add(time.Minute), NeverExpires: true},
			"x-key-status: rotated\nsunset: Mon, 30 Nov 2026 12:01:00 GMT",
		},
		{"after its grace", jwks.Attributes{RotatedAt: now.Add(-day), EndsAt: now, ExpiresAt: now.Add(day)}, "expired"},
		{"rotation undone", jwks.Attributes{}, "x-key-status: active"},
	} {
		f.set(t, step.a)
		if got := lifeOf(t, f); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	f.set(t, jwks.Attributes{RotatedAt: now, EndsAt: now.Add(time.Minute)})
	clock.Advance(time.Minute)
	if got := lifeOf(t, f); got != "expired" {
		t.Errorf("the grace ends at the gateway's clock: %s", got)
	}
}

// Without notice, only the grace of a rotated key is announced.
func TestNoExpiryNotice(t *testing.T) {
	t.Parallel()
	f := limitedGateway(t, nil)
	f.set(t, jwks.Attributes{ExpiresAt: time.Now().Add(time.Hour)})
	if got := lifeOf(t, f); got != "x-key-status: active" {
		t.Error(got)
	}
}
