package jwks

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLifecycle(t *testing.T) {
	issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(days int) time.Time { return issued.AddDate(0, 0, days) }
	expires := func(days int) *Claims { return &Claims{IssuedAt: issued.Unix(), Expiry: at(days).Unix()} }
	rotated := &Claims{Expiry: at(50).Unix(), Attributes: Attributes{RotatedAt: at(1), EndsAt: at(9)}}
	active := Lifecycle{Status: KeyActive}
	for name, test := range map[string]struct {
		claims *Claims
		now    time.Time
		notice int // days
		want   Lifecycle
	}{
		"never expires":       {&Claims{}, at(99), 30, active},
		"before its notice":   {expires(40), at(10).Add(-1), 30, active},
		"with its notice":     {expires(40), at(10), 30, Lifecycle{KeyExpiring, at(10), at(40)}},
		"shorter than that":   {expires(5), at(4), 30, Lifecycle{KeyExpiring, at(0), at(5)}},
		"without notice":      {expires(40), at(39), 0, active},
		"rotated":             {rotated, at(2), 30, Lifecycle{KeyRotated, at(1), at(9)}},
		"rotated, no notice":  {rotated, at(2), 0, Lifecycle{KeyRotated, at(1), at(9)}},
		"its expiry is first": {&Claims{Expiry: at(8).Unix(), Attributes: rotated.Attributes}, at(2), 0, Lifecycle{KeyRotated, at(1), at(8)}},
	} {
		got := test.claims.Lifecycle(test.now, time.Duration(test.notice)*24*time.Hour)
		got.Since, got.Ends = utc(got.Since), utc(got.Ends)
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func utc(at time.Time) time.Time {
	if at.IsZero() {
		return time.Time{}
	}
	return at.UTC()
}

func TestMiddlewareLifecycle(t *testing.T) {
	v, table := attributed(t, Attributes{})
	v.Now = func() time.Time { return time.Unix(testIssued, 0) }
	m := &Middleware{Verifier: v, ExpiryNotice: DefaultExpiryNotice}
	headers := func() string {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+ownPair().token(testPayload))
		w := httptest.NewRecorder()
		m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		h := w.Header()
		return strings.Join([]string{h.Get("X-Key-Status"), h.Get("Deprecation"), h.Get("Sunset"), h.Get("Content-Type")}, "|")
	}
	if got := headers(); got != "expiring|@1700000000|Tue, 14 Nov 2023 23:13:20 GMT|" {
		t.Errorf("a key of an hour: %s", got)
	}
	rotated := time.Unix(testIssued-60, 5e8)
	setAttributes(t, table, ownPair().key.kid, Attributes{RotatedAt: rotated, EndsAt: rotated.Add(2 * time.Minute)})
	if got := headers(); got != "rotated|@1699999940|Tue, 14 Nov 2023 22:14:20 GMT|" {
		t.Errorf("rotated: %s", got)
	}
	setAttributes(t, table, ownPair().key.kid, Attributes{NeverExpires: true})
	if got := headers(); got != "active|||" {
		t.Errorf("never expires: %s", got)
	}
	setAttributes(t, table, ownPair().key.kid, Attributes{RotatedAt: rotated, EndsAt: rotated})
	if got := headers(); got != "|||application/problem+json" {
		t.Errorf("after its grace: %s", got)
	}
}

// A key that has expired is not published. Clients are told that it has expired nevertheless.
func TestExpiredKeyIsGone(t *testing.T) {
	v, table := tableVerifier(t)
	now := time.Unix(testExpiry, 0)
	v.Now = func() time.Time { return now }
	verify := func(payload string) error {
		_, err := v.Verify(otherPair().token(payload))
		return err
	}
	if _, ok := table.Lookup(otherPair().key.kid); ok {
		t.Fatal("the key is published")
	}
	never := reword(t, testPayload, `,"exp":1700003600`, "")
	if err := verify(testPayload); !errors.Is(err, ErrExpired) {
		t.Errorf("at the end: %v", err)
	}
	if err := verify(never); !errors.Is(err, ErrUnknown) {
		t.Errorf("without end: %v", err)
	}
	if err := verify("{"); !errors.Is(err, ErrUnknown) {
		t.Errorf("no claims: %v", err)
	}
	now = now.Add(-1)
	if err := verify(testPayload); !errors.Is(err, ErrUnknown) {
		t.Errorf("before the end: %v", err)
	}
	if _, err := v.Authentic(otherPair().token(testPayload)); !errors.Is(err, ErrUnknown) {
		t.Errorf("Authentic: %v", err)
	}
}
