package authz_test

import (
	"math"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
)

func TestParseDuration(t *testing.T) {
	const longest = math.MaxInt64 / time.Second * time.Second
	for text, want := range map[string]time.Duration{
		"0": 0, "0d": 0, "0s": 0, "3600": time.Hour, "90m": 90 * time.Minute, "720h": 720 * time.Hour,
		"30d": 720 * time.Hour, "1h30m": 90 * time.Minute,
		"1.5h": 90 * time.Minute, "500ms": 500 * time.Millisecond, "-1h": -time.Hour, "-1": -time.Second, "-2d": -48 * time.Hour,
		// Callers refuse durations beyond their own bounds.
		"999999d": longest, "9999999999": longest, "99999999999999999999": longest, "9999999h": longest,
		"-999999d": -longest, "-9999999h": -longest,
	} {
		if got, err := authz.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "d", "1.5d", "1w", "1d12h", "x", "30 d", "１d", "30D"} {
		if got, err := authz.ParseDuration(text); err == nil || err.Error() != "must be like 90m, 720h or 30d, or whole seconds, such as 3600" {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
