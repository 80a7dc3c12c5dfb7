package portal_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const many = "/portal/acme/operator/revoke"

// crowd issues keys for two owners on two days.
func crowd(s *site) (keys map[string]store.Key) {
	keys = map[string]store.Key{}
	make := func(name, owner, scope string) {
		keys[name] = s.issue("acme", authz.IssueRequest{Owner: owner, Name: name, Scopes: strings.Fields(scope)})
	}
	make("early 1", "cust_1", "maps:read")
	make("early 2", "cust_2", "maps:read maps:write")
	s.advance(24 * time.Hour)
	make("late 1", "cust_1", "maps:write")
	make("late 2", "cust_2", "")
	make("gone", "cust_1", "maps:read")
	_, err := s.Revoke(s.t.Context(), "acme", keys["gone"].ID)
	check(s.t, err)
	return keys
}

func TestRevokeMany(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query string
		want  []string
	}{
		"an owner":          {"owner=cust_1&scope=&before=", []string{"late 1", "early 1"}},
		"a scope":           {"scope=maps:write", []string{"late 1", "early 2"}},
		"an age":            {"before=2026-03-05", []string{"early 2", "early 1"}},
		"an owner's scope":  {"owner=cust_2&scope=maps:read", []string{"early 2"}},
		"ticked":            {"id={late 2}&id={early 1}&id={gone}&id={late 2}", []string{"late 2", "early 1"}},
		"ticked, one owner": {"id={late 2}&id={early 1}&owner=cust_1", []string{"early 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			keys := crowd(s)
			for name, k := range keys {
				c.query = strings.ReplaceAll(c.query, "{"+name+"}", k.ID.String())
			}
			v := s.operator("acme")
			before := everything(s)
			p := v.get(many+"?"+c.query).want(200).has("Nothing has been revoked yet.", "will be revoked")
			p.wouldRevoke(keys, c.want)
			if everything(s) != before {
				t.Fatal("looking has revoked something")
			}
			later := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Scopes: []string{"maps:read", "maps:write"}})
			form := url.Values{"ids": {p.hidden("ids")}, "number": {" " + string(rune('0'+len(c.want))) + " "}}
			for _, number := range []string{"", "0", "9", "all", "1.0", "-1"} {
				v.post(many, many, with(form, "number", number)).want(422).has("Nothing was revoked.").wouldRevoke(keys, c.want)
			}
			v.post(many, many, form).want(200).has("Keys revoked", c.want[0])
			for name, k := range keys {
				gone := name == "gone" || strings.Contains(strings.Join(c.want, ","), name)
				want := map[bool]store.Status{true: store.Revoked, false: store.Active}[gone]
				if got := s.status(k); got != want {
					t.Errorf("%s is %s", name, got)
				}
			}
			if s.status(later) != store.Active {
				t.Error("what was not listed is revoked")
			}
			v.post(many, many, form).want(200).has("0 keys revoked.")
		})
	}
}

// wouldRevoke checks that both the list and the form contain exactly the keys with these names.
func (p *page) wouldRevoke(keys map[string]store.Key, names []string) {
	p.t.Helper()
	var ids []string
	for _, name := range names {
		ids = append(ids, keys[name].ID.String())
		p.has(name + " (…")
	}
	if got := strings.Split(p.hidden("ids"), ","); len(got) != len(ids) || strings.Join(got, ",") != strings.Join(ids, ",") {
		p.t.Errorf("%s would revoke %q, want %q", p.what, got, ids)
	}
}

func TestWhatManyCantMean(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	crowd(s)
	foreign := s.issue("other", authz.IssueRequest{Owner: "cust_1"})
	v := s.operator("acme")
	v.get(many).want(200).has("Choose what to do").hasNot("will be revoked", "There is a problem")
	v.get(many + "?owner=&scope=&before=").want(422).has("Fill in at least one field.")
	v.get(many + "?owner=&before=tomorrow").want(422).has("Enter a valid date.")
	v.get(many+"?owner=nobody").want(200).has("0 keys will be revoked", "No working keys match.")
	for _, id := range []string{foreign.ID.String(), unknownID, "x", "urn:uuid:" + unknownID} {
		v.get(many + "?id=" + id).want(404)
		if p := v.post(many, many, url.Values{"ids": {id}, "number": {"1"}}); p.Code != 404 && p.Code != 400 {
			t.Errorf("%s: %d", id, p.Code)
		}
	}
	v.post(many, many, url.Values{"number": {"0"}}).want(400)
	v.post(many, many, url.Values{"ids": {strings.Repeat(unknownID+",", authz.MaxAtOnce) + unknownID}, "number": {"1"}}).want(400)
	if s.status(foreign) != store.Active {
		t.Error("another workspace's key is revoked")
	}
}

// fragile is a store whose revocations fail after the first `left` ones.
type fragile struct {
	store.Store
	left int
}

func (f *fragile) Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	if f.left--; f.left < 0 {
		return store.Key{}, errBroken
	}
	return f.Store.Revoke(ctx, workspace, id, at)
}

// If a bulk revocation fails halfway, the page lists the revoked keys.
func TestManyFailInTheMiddle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	crowd(s)
	v := s.operator("acme")
	form := url.Values{"ids": {v.get(many + "?owner=cust_1").hidden("ids")}, "number": {"2"}, "owner": {"cust_1"}}
	s.store.Store = &fragile{Store: s.store.Store, left: 1}
	p := v.post(many, many, form).want(http.StatusServiceUnavailable)
	p.has("not all keys were revoked", "1 key revoked.", "late 1", "Check for more").hasNot("early 1")
	if !strings.Contains(s.log.String(), "changed=1") {
		t.Error("the log does not say so")
	}
	v.post(many, many, form).want(http.StatusServiceUnavailable).has("Something went wrong")
}

// Each action shows the keys that it would change, and leaves out those that are already so. It changes these keys only.
func TestChangeMany(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query   string // of the preview
		changed func(store.Key) bool
	}{
		"pause": {"do=pause", func(k store.Key) bool { return !k.SuspendedAt.IsZero() && k.SuspendedReason == "why" }},
		"plan":  {"do=plan&value=gold", func(k store.Key) bool { return k.Plan == "gold" }},
		"scopes": {"do=scopes&value=maps:read+maps:new", func(k store.Key) bool {
			return slices.Equal(k.Scopes, []string{"maps:read", "maps:new"})
		}},
		"expiry": {"do=expiry&value=2026-03-20", func(k store.Key) bool { return k.ExpiresAt.Format(time.DateOnly) == "2026-03-20" }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			keys := crowd(s)
			_, err := s.CreateLimits(t.Context(), "acme", authz.LimitsRequest{On: jwks.OnPlan, Name: "gold"})
			check(t, err)
			v := s.operator("acme")
			form := func(p *page) url.Values {
				return url.Values{"ids": {p.hidden("ids")}, "do": {p.hidden("do")}, "value": {p.hidden("value")}, "reason": {"why"}}
			}
			before := everything(s)
			p := v.get(many+"?owner=cust_1&"+c.query).want(200).has("2 keys will be changed", "Nothing has been changed yet.", "early 1", "late 1")
			if everything(s) != before {
				t.Fatal("looking has changed something")
			}
			v.post(many, many, with(form(p), "number", "1")).want(422)
			if everything(s) != before {
				t.Fatal("a change without its confirmation")
			}
			v.post(many, many, with(form(p), "number", "2")).want(200).has("2 keys changed.")
			for name, k := range keys {
				now, err := s.Key(t.Context(), "acme", k.ID)
				check(t, err)
				if want := name == "early 1" || name == "late 1"; c.changed(now) != want {
					t.Errorf("%s: %+v", name, now)
				}
			}
			v.get(many + "?owner=cust_1&" + c.query).want(200).has("0 keys will be changed")
			if name == "pause" {
				p = v.get(many + "?owner=cust_1&do=resume").want(200).has("2 keys will be changed")
				v.post(many, many, with(form(p), "number", "2")).want(200).has("2 keys changed.")
				if s.status(keys["early 1"]) != store.Active {
					t.Error("a resumed key is not active")
				}
			}
		})
	}
}

// A value that can't be set is refused in the preview, at its field, and the ticked keys stay selected.
func TestValuesOfManyChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := crowd(s)["late 1"]
	v := s.operator("acme")
	ticked := many + "?id=" + k.ID.String()
	if p := v.get(ticked + "&do=plan").want(200).has("Plan (empty: none)"); p.hidden("id") != k.ID.String() || p.hidden("ids") != "" {
		t.Error("the ticked key is lost, or the preview has no value")
	}
	for query, want := range map[string]string{
		"do=plan&value=none": "plan", "do=scopes&value=%22": "scope", "do=expiry&value=soon": "Enter", "do=expiry&value=2020-01-01": "future",
	} {
		if p := v.get(ticked + "&" + query).want(422); !strings.Contains(p.body, `id="value-fault"`) {
			t.Errorf("%s: no fault about %s at the field", query, want)
		}
	}
	if s.status(k) != store.Active {
		t.Error("something changed")
	}
}
