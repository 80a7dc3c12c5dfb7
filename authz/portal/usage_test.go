package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// used records that keys of a workspace were used just now.
func (s *site) used(workspace string, keys ...store.Key) {
	s.t.Helper()
	var uses []store.Use
	for _, k := range keys {
		uses = append(uses, store.Use{KID: k.KID, At: s.clock()})
	}
	if unknown, err := s.RecordUsage(s.t.Context(), workspace, authz.UsageReport{Uses: uses}); err != nil || unknown > 0 {
		s.t.Fatalf("%d unknown, %v", unknown, err)
	}
}

func TestLastUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Shop"})
	old := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Old"})
	s.advance(24 * time.Hour)
	owner, operator := s.owner("acme", "cust_1"), s.operator("acme")
	anyKey := func(k store.Key) string { return "/portal/acme/operator/keys/" + k.ID.String() }
	for path, v := range map[string]*visitor{
		"/portal/acme/keys": owner, keyPath(k): owner, "/portal/acme/operator/keys": operator, anyKey(k): operator,
		many + "?owner=cust_1": operator,
	} {
		v.get(path).want(200).hasNot("Last used", "No use recorded")
	}

	s.used("acme", k)
	s.advance(5*time.Minute + 59*time.Second)
	young := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Young"})
	const ago, notSince = `<time datetime="2026-03-05T12:00Z">5 minutes ago</time>`, `No use recorded since <time datetime="2026-03-05T12:0`
	for path, v := range map[string]*visitor{
		"/portal/acme/keys": owner, "/portal/acme/operator/keys": operator,
		many + "?owner=cust_1": operator,
	} {
		p := v.get(path).want(200).has("Last used", "5 minutes ago", "No use recorded since 5 March 2026")
		// The old key is unused since the first report, the new key since it was issued.
		if strings.Count(p.body, ago) != 1 || strings.Count(p.body, notSince+"0Z") != 1 || strings.Count(p.body, notSince+"5Z") != 1 {
			t.Errorf("%s: %s", path, p.body)
		}
	}
	for path, v := range map[string]*visitor{keyPath(k): owner, anyKey(k): operator} {
		if p := v.get(path).want(200).has("Last used 5 minutes ago"); !strings.Contains(p.body, ago) {
			t.Errorf("%s: %s", path, p.body)
		}
	}
	for _, k := range []store.Key{old, young} {
		owner.get(keyPath(k)).want(200).has("Last used No use recorded since 5 March 2026")
		operator.get(anyKey(k)).want(200).has("Last used No use recorded since 5 March 2026")
	}
	owner.get(keyPath(k) + "?lang=de").want(200).has("Zuletzt verwendet vor 5 Minuten")
	owner.get(keyPath(old) + "?lang=de").want(200).has("Zuletzt verwendet Keine Nutzung erfasst seit dem 5. März 2026")
	// Reports of another workspace have no effect.
	theirs := s.issue("other", authz.IssueRequest{Owner: "cust_1"})
	holder, path := s.owner("other", "cust_1"), "/portal/other/keys/"+theirs.ID.String()
	holder.get(path).want(200).hasNot("Last used")
	// The server saw an exchange, but nothing is known about other keys.
	exchanged := []store.Use{{KID: theirs.KID, At: s.clock()}}
	_, err := s.store.RecordUsage(t.Context(), "other", exchanged, store.Report{At: s.clock(), Partial: true})
	check(t, err)
	holder.get(path).want(200).has("Last used less than a minute ago")
	unseen := s.issue("other", authz.IssueRequest{Owner: "cust_1"})
	holder.get("/portal/other/keys/" + unseen.ID.String()).want(200).hasNot("Last used")
}

func TestRevokeUnused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	keys := map[string]store.Key{}
	for _, name := range []string{"idle", "busy", "woken"} {
		keys[name] = s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: name})
	}
	v := s.operator("acme")
	refused := func(says string) {
		t.Helper()
		v.get(many+"?unused=2").want(http.StatusConflict).has("There is a problem", says).hasNot("will be revoked")
	}
	refused("Key usage is unknown: no gateway reports it")
	s.used("acme", keys["busy"])
	refused("is known only since 4 March 2026, 12:00 UTC. Enter fewer days")
	for range 3 {
		s.advance(24 * time.Hour)
		s.used("acme", keys["busy"])
	}
	v = s.operator("acme") // the first session is over
	for _, text := range []string{"0", "-1", "x", "1.5", "3651", "99999999999999999999"} {
		v.get(many + "?unused=" + text).want(422).has("Enter a whole number of days from 1 to 3650.")
	}
	p := v.get(many + "?unused=2&owner=cust_1").want(200)
	p.wouldRevoke(keys, []string{"woken", "idle"})
	if p.hidden("unused") != "2" {
		t.Error("the form forgets why")
	}
	form := url.Values{"ids": {p.hidden("ids")}, "number": {"2"}, "owner": {"cust_1"}, "unused": {"2"}}
	v.post(many, many, with(form, "unused", "x")).want(400)
	s.used("acme", keys["woken"]) // which was listed a moment ago
	v.post(many, many, form).want(200).has("1 key revoked.", "idle").hasNot("woken")
	for name, k := range keys {
		if got := s.status(k); (got == store.Revoked) != (name == "idle") {
			t.Errorf("%s is %s", name, got)
		}
	}
	s.advance(25 * time.Hour)
	v = s.operator("acme")
	refused("was last reported on 7 March 2026, 12:00 UTC, more than a day ago")
	v.post(many, many, form).want(http.StatusConflict).has("was last reported")
}
