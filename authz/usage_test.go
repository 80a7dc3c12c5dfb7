package authz_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"

	"github.com/burnkey/burnkey/jwks"
)

const aDay = 24 * time.Hour

// report reports that keys were used a moment ago.
func (s *server) report(workspace string, keys ...authz.Issued) {
	s.t.Helper()
	uses := make([]store.Use, len(keys))
	for i, k := range keys {
		uses[i] = store.Use{KID: k.KID, At: s.Now().Add(-time.Second)}
	}
	if unknown, err := s.RecordUsage(s.t.Context(), workspace, authz.UsageReport{Uses: uses}); err != nil || unknown != 0 {
		s.t.Fatalf("%d unknown, %v", unknown, err)
	}
}

// unused returns the ids of the keys that would be revoked as unused, the newest first.
func (s *server) unused(sel authz.Selection) ([]uuid.UUID, error) {
	s.t.Helper()
	keys, _, err := s.RevokeMany(s.t.Context(), "acme", sel, true)
	ids := make([]uuid.UUID, len(keys))
	for i, k := range keys {
		ids[i] = k.ID
	}
	return ids, err
}

func TestRecordUsage(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.workspace("other")
	k, theirs := s.issue("acme", authz.IssueRequest{}), s.issue("other", authz.IssueRequest{})
	s.clock.Advance(time.Hour)
	used := s.Now().Add(-time.Minute)
	unknown, err := s.RecordUsage(t.Context(), "acme", authz.UsageReport{Uses: []store.Use{
		{KID: theirs.KID, At: used},
		{KID: k.KID, At: used},
	}})
	if err != nil || unknown != 1 {
		t.Fatalf("%d unknown, %v", unknown, err)
	}
	for _, at := range []time.Time{used, s.Now().Add(time.Second), s.Now().Add(1000 * time.Hour)} {
		if _, err := s.RecordUsage(t.Context(), "acme", authz.UsageReport{Uses: []store.Use{{KID: k.KID, At: at}}}); err != nil {
			t.Fatal(err)
		}
		want := at
		if at.After(s.Now()) {
			want = s.Now()
		}
		if got, err := s.Key(t.Context(), "acme", k.ID); err != nil || !got.LastUsedAt.Equal(want) {
			t.Errorf("used at %s, kept as %s, %v", at, got.LastUsedAt, err)
		}
	}
	for field, uses := range map[string][]store.Use{
		"keys": make([]store.Use, jwks.MaxReport+1), "keys[1].last_used_at": {{KID: k.KID, At: used}, {KID: k.KID, At: time.Unix(-1, 0)}},
	} {
		var bad authz.InputError
		if _, err := s.RecordUsage(t.Context(), "other", authz.UsageReport{Uses: uses}); !errors.As(err, &bad) || len(bad) != 1 ||
			bad[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := s.RecordUsage(t.Context(), "nobody", authz.UsageReport{}); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if w, err := s.Workspace(t.Context(), "other"); err != nil || w.Usage != (store.Reported{}) {
		t.Errorf("what was refused is kept: %+v, %v", w.Usage, err)
	}
}

// A key whose use was not reported is not taken for unused.
func TestUnusedIsRefusedWhereUseIsNotKnown(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	k := s.issue("acme", authz.IssueRequest{})
	refused := func(says string) {
		t.Helper()
		for _, sel := range []authz.Selection{{UnusedFor: aDay}, {UnusedFor: aDay, IDs: []uuid.UUID{k.ID}}, {UnusedFor: aDay, Owner: "cust_1"}} {
			keys, _, err := s.RevokeMany(t.Context(), "acme", sel, false)
			var unknown *authz.UsageError
			if !errors.As(err, &unknown) || len(keys) != 0 || !strings.Contains(err.Error(), says) {
				t.Errorf("%+v: %d keys, %v", sel, len(keys), err)
			}
		}
		if !s.publishes("acme", k.KID) {
			t.Fatal("the key is revoked")
		}
	}
	s.clock.Advance(30 * aDay)
	refused("no gateway reports")
	s.report("acme")
	since := s.Now().Format(time.RFC3339)
	refused("known from " + since + " to " + since + ", not for 1 day")
	if _, err := s.unused(authz.Selection{UnusedFor: 90 * aDay}); err == nil || !strings.HasSuffix(err.Error(), ", not for 90 days") {
		t.Errorf("says %v", err)
	}
	if _, err := s.unused(authz.Selection{UnusedFor: aDay + time.Hour}); err == nil || !strings.HasSuffix(err.Error(), ", not for 25h") {
		t.Errorf("says %v", err)
	}
	s.clock.Advance(aDay - time.Microsecond)
	s.report("acme")
	refused("known from " + since)
	s.clock.Advance(time.Microsecond)
	refused("known from " + since) // an hour of reports does not cover a day
	s.report("acme")
	if ids, err := s.unused(authz.Selection{UnusedFor: aDay}); err != nil || !slices.Equal(ids, []uuid.UUID{k.ID}) {
		t.Fatalf("%v, %v", ids, err)
	}
	s.clock.Advance(aDay + time.Microsecond)
	refused("last reported at")
	s.report("acme") // after a gap
	refused("known from " + s.Now().Format(time.RFC3339))
	s.clock.Advance(aDay)
	if _, err := s.RecordUsage(t.Context(), "acme", authz.UsageReport{Incomplete: true}); err != nil { // some uses were lost
		t.Fatal(err)
	}
	refused("known from " + s.Now().Format(time.RFC3339))
	s.clock.Advance(aDay)
	if _, err := s.RecordUsage(t.Context(), "acme", authz.UsageReport{Until: new(s.Now().Add(-time.Hour))}); err != nil {
		t.Fatal(err)
	}
	refused("to " + s.Now().Add(-time.Hour).Format(time.RFC3339))
	for _, short := range []time.Duration{-aDay, 1, aDay - 1} {
		var bad authz.InputError
		if _, err := s.unused(authz.Selection{UnusedFor: short}); !errors.As(err, &bad) || bad[0].Field != "unused_for" ||
			!strings.Contains(bad[0].Detail(), "1 day") {
			t.Errorf("%s: %v", short, err)
		}
	}
	if _, _, err := s.RevokeMany(t.Context(), "nobody", authz.Selection{UnusedFor: aDay}, true); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// If a gateway's clock is wrong, the times of its report are corrected by means of the report's time of
// sending.
func TestUsageByAnotherClock(t *testing.T) {
	for _, behind := range []time.Duration{25 * time.Hour, -25 * time.Hour} {
		s := newServer(t)
		s.workspace("acme")
		k := s.issue("acme", authz.IssueRequest{})
		s.clock.Advance(30 * aDay)
		theirs := s.Now().Add(-behind)
		report := authz.UsageReport{
			Uses: []store.Use{{KID: k.KID, At: theirs.Add(-time.Minute)}}, Reporter: "a", Sent: &theirs, Until: new(theirs.Add(-time.Second)),
		}
		if _, err := s.RecordUsage(t.Context(), "acme", report); err != nil {
			t.Fatal(err)
		}
		got, err := s.Key(t.Context(), "acme", k.ID)
		if err != nil || !got.LastUsedAt.Equal(s.Now().Add(-time.Minute)) {
			t.Errorf("%s: used at %s, %v", behind, got.LastUsedAt, err)
		}
		if w, err := s.Workspace(t.Context(), "acme"); err != nil || !w.Usage.Until.Equal(s.Now().Add(-time.Second)) {
			t.Errorf("%s: known until %s, %v", behind, w.Usage.Until, err)
		}
	}
}

// usedMeanwhile is a store in which one key is used while another is being revoked.
type usedMeanwhile struct {
	store.Store
	meanwhile func()
}

func (s *usedMeanwhile) Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	s.meanwhile()
	return s.Store.Revoke(ctx, workspace, id, at)
}

func TestAKeyThatIsUsedMeanwhileStays(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	older, newer := s.issue("acme", authz.IssueRequest{}), s.issue("acme", authz.IssueRequest{})
	s.clock.Advance(time.Hour)
	s.report("acme")
	s.clock.Advance(aDay)
	s.report("acme")
	between := authz.New(authz.Options{
		Store:  &usedMeanwhile{s.store, func() { s.report("acme", older) }},
		Minter: s.minter, Publisher: s.publisher, PublicURL: publicURL, Now: s.clock.Now,
	})
	keys, _, err := between.RevokeMany(t.Context(), "acme", authz.Selection{UnusedFor: aDay}, false)
	if err != nil || len(keys) != 1 || keys[0].ID != newer.ID {
		t.Errorf("revoked are %d, %v", len(keys), err)
	}
	if !s.publishes("acme", older.KID) || s.publishes("acme", newer.KID) {
		t.Error("the one in use is gone, or the other is not")
	}
}

func TestRevokeUnused(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	never, daily := s.issue("acme", authz.IssueRequest{}), s.issue("acme", authz.IssueRequest{Scopes: []string{"a"}})
	once, theirs := s.issue("acme", authz.IssueRequest{Scopes: []string{"a"}}), s.issue("acme", authz.IssueRequest{Owner: "cust_2"})
	s.clock.Advance(time.Hour)
	s.report("acme", daily, once)
	var young authz.Issued
	for day := range 10 {
		s.clock.Advance(aDay)
		s.report("acme", daily)
		if day == 4 {
			young = s.issue("acme", authz.IssueRequest{})
		}
	}
	for _, c := range []struct {
		sel  authz.Selection
		want []authz.Issued
	}{
		{authz.Selection{UnusedFor: 10 * aDay}, []authz.Issued{theirs, once, never}},
		{authz.Selection{UnusedFor: 5*aDay - time.Hour}, []authz.Issued{young, theirs, once, never}},
		{authz.Selection{UnusedFor: 5*aDay + time.Hour}, []authz.Issued{theirs, once, never}},
		{authz.Selection{UnusedFor: 5 * aDay, Owner: "cust_1", Scope: "a"}, []authz.Issued{once}},
		{authz.Selection{UnusedFor: 5 * aDay, CreatedBefore: never.CreatedAt}, nil},
		{authz.Selection{UnusedFor: 6 * aDay, IDs: []uuid.UUID{young.ID, daily.ID, once.ID}}, []authz.Issued{once}},
	} {
		ids, err := s.unused(c.sel)
		var want []uuid.UUID
		for _, k := range c.want {
			want = append(want, k.ID)
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("%+v: %v, %v, want %v", c.sel, ids, err, want)
		}
	}
	// The time since the latest report does not count as unused, since a key may have been used in it.
	s.clock.Advance(5 * time.Hour)
	s.report("acme")
	s.clock.Advance(20 * time.Hour)
	if ids, err := s.unused(authz.Selection{UnusedFor: aDay}); err != nil || slices.Contains(ids, daily.ID) {
		t.Errorf("%v, %v", ids, err)
	}
	keys, more, err := s.RevokeMany(context.Background(), "acme", authz.Selection{UnusedFor: 9 * aDay}, false)
	if err != nil || more || len(keys) != 3 || !keys[1].LastUsedAt.Equal(must(s.Key(t.Context(), "acme", once.ID)).LastUsedAt) ||
		keys[1].LastUsedAt.IsZero() {
		t.Fatalf("%+v, %v", keys, err)
	}
	for _, k := range []authz.Issued{never, daily, once, theirs, young} {
		if kept := k.ID == daily.ID || k.ID == young.ID; s.publishes("acme", k.KID) != kept {
			t.Errorf("%s is published: %t", k.ID, !kept)
		}
	}
}
