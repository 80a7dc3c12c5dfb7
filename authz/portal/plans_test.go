package portal_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
)

const plansPath = "/portal/acme/operator/plans"

func TestPlans(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.operator("acme")
	v.get(plansPath).want(200).has("There are no plans yet.", "Create plan")
	form := url.Values{
		"name": {"free"}, "description": {"To try"}, "limits": {" burst 100  60\r\n\r\nmonthly 100000 month\r\n"}, "signed": {"burst"},
	}
	to := v.post(plansPath, plansPath, form).want(303).saysDone(plansPath+"/free", "plan.saved")
	v.get(to).want(200).has("Plan saved.", "Plan free", "To try", "burst 100 requests in 1 minute", "monthly 100000 requests a month (UTC)",
		"also in new tokens")
	v.get(plansPath).want(200).has("free", "100 requests in 1 minute").hasNot("There are no plans yet.")
	v.post(plansPath, plansPath, form).want(409).has("A plan with this name exists.")
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Web shop", Plan: "free"})

	save := func(version string, changes ...string) *page {
		t.Helper()
		return v.post(plansPath+"/free", plansPath+"/free", with(with(form, changes...), "version", version))
	}
	version := v.get(plansPath + "/free").hidden("version")
	save(version, "limits", "burst 500 60").want(303).saysDone(plansPath+"/free", "plan.saved")
	s.owner("acme", "cust_1").get(keyPath(k)).want(200).has("500 requests in 1 minute").hasNot("100 requests")
	p := save(version, "limits", "burst 7 60").want(409).has("Someone else has changed this plan", "500 requests in 1 minute")
	if !strings.Contains(p.body, "burst 7 60") {
		t.Error("what was typed is lost")
	}
	save(p.hidden("version"), "limits", "burst 7 60").want(303)

	v.post(plansPath+"/free", plansPath+"/free/delete", nil).want(409).has("Keys have this plan")
	_, err := s.Revoke(t.Context(), "acme", k.ID)
	check(t, err)
	to = v.post(plansPath+"/free", plansPath+"/free/delete", nil).want(303).saysDone(plansPath, "plan.deleted")
	v.get(to).want(200).has("Plan deleted.", "There are no plans yet.")
	v.get(plansPath + "/free").want(404)
	v.get(plansPath + "/free/delete").want(303).leadsTo(plansPath + "/free")
	v.get("/portal/acme/operator/audit").want(200).has("Limits created", "Limits changed", "Limits deleted")
}

func TestPlanInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.operator("acme")
	const evil = `"></textarea><script src="//evil.example"></script>{{.}}`
	form := url.Values{"name": {"free"}, "description": {""}, "limits": {"burst 100 60"}, "signed": {""}}
	for _, c := range []struct{ field, value, want string }{
		{"name", "", "lower-case letters, digits and hyphens"},
		{"name", "Free", "lower-case letters, digits and hyphens"},
		{"name", "../x", "lower-case letters, digits and hyphens"},
		{"name", strings.Repeat("a", 64), "lower-case letters, digits and hyphens"},
		{"name", evil, "lower-case letters, digits and hyphens"},
		{"description", "a\nb", "can’t contain line breaks"},
		{"description", strings.Repeat("ä", 256), "at most 255 characters"},
		{"limits", "burst 100 60\nburst 100", "Line 2 is not a rule"},
		{"limits", "burst -1 60", "Line 1 is not a rule"},
		{"limits", "burst 1e3 60", "Line 1 is not a rule"},
		{"limits", "burst 99999999999 60", "Line 1 is not a rule"},
		{"limits", "burst 1 year", "Line 1 is not a rule"},
		{"limits", evil, "Line 1 is not a rule"},
		{"limits", "Burst 1 60", "Each rule needs a name of its own"},
		{"limits", "burst 1 60\nburst 1 61", "Each rule needs a name of its own"},
		{"limits", "burst 1000000001 60", "1 to 1000000000 requests"},
		{"limits", "burst 1 31536001", "365 days at most"},
		{"limits", strings.Repeat("a 1 1\n", 9), "At most 8 rules"},
		{"signed", "other", "one of the rules"},
		{"signed", evil, "one of the rules"},
	} {
		p := v.post(plansPath, plansPath, with(form, c.field, c.value)).want(422).has(c.want)
		if !strings.Contains(p.body, `id="`+c.field+`-fault"`) || strings.Contains(p.body, "<script src=\"//evil") {
			t.Errorf("%s %q: is not said beside it, or is HTML", c.field, c.value)
		}
	}
	issued := s.issue("acme", authz.IssueRequest{Owner: "cust_1"})
	for _, field := range []string{"name", "description", "limits", "signed"} {
		v.post(plansPath, plansPath, with(form, field, s.minter.last())).want(422).has("A token doesn’t belong here")
	}
	for _, name := range []string{"none", "Free", "%00", "..%2f", strings.Repeat("a", 64), issued.ID.String()} {
		v.get(plansPath + "/" + name).want(404)
	}
	list, _, err := s.LimitSets(t.Context(), "acme", []string{jwks.OnPlan}, authz.LimitsID{}, 10)
	if err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
	v.post(plansPath, plansPath, with(form, "description", evil)).want(303)
	for _, path := range []string{plansPath, plansPath + "/free"} {
		if p := v.get(path).want(200).has(evil); strings.Contains(p.body, "<script src=\"//evil") {
			t.Errorf("%s: the description is HTML", path)
		}
	}
}

func TestManyPlans(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 51 {
		s.plans(fmt.Sprintf("plan-%03d", i))
	}
	v := s.operator("acme")
	v.get(plansPath).want(200).has("plan-049", "Next page").hasNot("plan-050")
	v.get(plansPath+"?after=plan-049").want(200).has("plan-050", "First page").hasNot("plan-049", "Next page")
	v.get(plansPath + "?after=" + url.QueryEscape("%\x00")).want(200).has("plan-000")
}
