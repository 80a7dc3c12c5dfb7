package portal_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const requestsPath = "/portal/acme/operator/requests"

// plans creates plans in acme.
func (s *site) plans(names ...string) {
	s.t.Helper()
	for _, name := range names {
		_, err := s.CreateLimits(s.t.Context(), "acme", authz.LimitsRequest{
			On: jwks.OnPlan, Name: name, Description: "All of " + name, Limits: []jwks.Limit{{Name: "burst", Requests: 100, Seconds: 60}},
		})
		check(s.t, err)
	}
}

// asked returns the latest request in acme.
func (s *site) asked() store.Request {
	s.t.Helper()
	requests, _, err := s.Requests(s.t.Context(), "acme", store.RequestFilter{Limit: 1})
	check(s.t, err)
	if len(requests) == 0 {
		s.t.Fatal("nothing was requested")
	}
	return requests[0]
}

// decide sends the form of a request on the operators' page.
func (v *visitor) decide(r store.Request, decision, answer string) *page {
	v.t.Helper()
	return v.post(requestsPath+"?status=any", requestsPath+"/"+r.ID.String(), url.Values{"decision": {decision}, "answer": {answer}})
}

func TestAPlanOnRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v, operator := s.owner("acme", "cust_1"), s.operator("acme")
	k := v.create()
	v.get(keyPath(k)).want(200).hasNot("Ask for more")
	s.plans("free", "pro")
	v.get(keyPath(k)).want(200).has("Ask for more", "Request a plan", "All of pro", "100 requests in 1 minute").hasNot("Request scopes")
	ask := func(plan, reason string) *page {
		t.Helper()
		return v.post(keyPath(k), keyPath(k, "request-plan"), url.Values{"plan": {plan}, "reason": {reason}})
	}
	to := ask("pro", "more maps").want(303).saysDone(keyPath(k), "requested")
	v.get(to).want(200).has("Request sent.", "Plan pro Open", "Reason: more maps", "Withdraw request", "Requested").hasNot("Request a plan")
	ask("free", "").want(409).has("There is already an open request of this kind")
	first := s.asked()
	v.post(keyPath(k), keyPath(k, "withdraw"), url.Values{"request": {first.ID.String()}}).want(303).saysDone(keyPath(k), "withdrawn")
	v.get(keyPath(k)).want(200).has("Withdrawn", "Request a plan", "Request withdrawn")
	operator.decide(first, "approved", "").want(409).has("already been decided or withdrawn")

	ask("pro", "please").want(303)
	operator.get(requestsPath).want(200).has("Plan pro Open", "cust_1", "Present plan: none", "Reason: please", "Approve", "Decline")
	operator.get("/portal/acme/operator/keys").want(200).hasNot(" pro")
	operator.get(anyPath(k)).want(200).has("Plan pro Open", "Decide").hasNot("Withdraw request")
	operator.decide(s.asked(), "declined", "pay first").want(303).saysDone(requestsPath, "declined")
	v.get(keyPath(k)).want(200).has("Declined", "Answer: pay first", "Request declined")
	ask("pro", "paid").want(303)
	to = operator.decide(s.asked(), "approved", "welcome").want(303).saysDone(requestsPath, "approved")
	operator.get(to).want(200).has("Request approved, and the key changed.", "No requests match.")
	operator.get(requestsPath+"?status=any&owner=cust_1").want(200).
		has("Withdrawn", "Declined", "Approved", "Answer: welcome", "Present plan: pro")
	operator.get("/portal/acme/operator/keys").want(200).has("Plan", " pro")
	operator.get(requestsPath + "?status=any&owner=cust_2").want(200).has("No requests match.").hasNot("Answer: welcome")
	operator.get(requestsPath + "?status=nonsense").want(200).has("No requests match.")
	if now := s.present(k); now.Plan != "pro" {
		t.Errorf("the plan is %q", now.Plan)
	}
	v.get(keyPath(k)).want(200).has("Answer: welcome", "Plan changed", "Request approved")
	v.get("/portal/acme/history").want(200).has("Requested", "Request approved", "Request declined", "Request withdrawn", "Plan changed")
}

func TestScopesOnRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.update("acme", func(set *store.Workspace) {
		set.Policy.Scopes = []store.OfferedScope{{Name: "a"}, {Name: "b", Description: "About b"}, {Name: "c"}}
	})
	v, operator := s.owner("acme", "cust_1", authz.LinkRequest{ScopesAllowed: []string{"a"}}), s.operator("acme")
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Web shop", Scopes: []string{"c"}})
	ask := func(scopes ...string) *page {
		t.Helper()
		return v.post(keyPath(k), keyPath(k, "request-scopes"), url.Values{"wanted": scopes, "reason": {"why"}})
	}
	v.get(keyPath(k)).want(200).has("Request scopes", "About b")
	for _, wrong := range [][]string{{}, {"c"}, {"x"}, {"b", "x"}, {`"`}, {strings.Repeat("a", 300)}} {
		if p := ask(wrong...).want(422); !strings.Contains(p.body, `id="wanted-fault"`) {
			t.Errorf("%q: is not said beside it: %s", wrong, p.told())
		}
	}
	ask("b").want(303)
	operator.decide(s.asked(), "approved", "").want(303)
	if got := strings.Join(s.present(k).Scopes, " "); got != "c b" {
		t.Errorf("the scopes are %q", got)
	}
	v.get(keyPath(k)).want(200).has("Scopes b Approved").hasNot("Request scopes")
}

// A request can outlive what it asks for.
func TestRequestsThatAreLate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.plans("pro", "old")
	v, operator := s.owner("acme", "cust_1"), s.operator("acme")
	k, other := v.create(), v.create()
	for _, k := range []store.Key{k, other} {
		v.post(keyPath(k), keyPath(k, "request-plan"), url.Values{"plan": {"old"}}).want(303)
	}
	second := s.asked()
	check(t, s.DeleteLimits(t.Context(), "acme", jwks.OnPlan, "old"))
	operator.decide(second, "approved", "").want(409).has("can only be declined")
	_, err := s.Revoke(t.Context(), "acme", other.ID)
	check(t, err)
	operator.decide(second, "approved", "").want(409).has("already been decided or withdrawn")
	operator.get(requestsPath+"?status=declined").want(200).has("Declined", "The key was revoked or has expired.")
	operator.get(requestsPath).want(200).hasNot(second.ID.String())
	v.post(keyPath(other), keyPath(other, "request-plan"), url.Values{"plan": {"pro"}}).want(409).has("The key has changed in the meantime")
	v.get(keyPath(other)).want(200).has("Declined", "The key was revoked or has expired.", "Request declined").hasNot("Ask for more")
}

func TestRequestInput(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.plans("pro")
	v, operator := s.owner("acme", "cust_1"), s.operator("acme")
	k := v.create()
	const evil = `"><script src="//evil.example"></script>{{.}}`
	for _, c := range []struct{ plan, reason, at, want string }{
		{"", "", "plan", "Choose what you want to request"},
		{"none", "", "plan", "Choose a plan."},
		{evil, "", "plan", "Choose a plan."},
		{"pro", "a\nb", "plan-reason", "can’t contain line breaks"},
		{"pro", strings.Repeat("ä", 256), "plan-reason", "at most 255 characters"},
		{"pro", s.minter.last(), "plan-reason", "A token doesn’t belong here"},
	} {
		p := v.post(keyPath(k), keyPath(k, "request-plan"), url.Values{"plan": {c.plan}, "reason": {c.reason}}).want(422).has(c.want)
		if !strings.Contains(p.body, `id="`+c.at+`-fault"`) || strings.Contains(p.body, "<script src=\"//evil") {
			t.Errorf("%s: is not said beside it, or is HTML", redact(c.plan+" "+c.reason))
		}
	}
	v.post(keyPath(k), keyPath(k, "withdraw"), url.Values{"request": {"x"}}).want(404)
	v.post(keyPath(k), keyPath(k, "withdraw"), url.Values{"request": {unknownID}}).want(404)
	v.post(keyPath(k), keyPath(k, "request-plan"), url.Values{"plan": {"pro"}, "reason": {evil}}).want(303)
	operator.decide(s.asked(), "withdrawn", "").want(400)
	operator.decide(s.asked(), "", "").want(400)
	for answer, want := range map[string]string{"a\nb": "can’t contain line breaks", s.minter.last(): "A token doesn’t belong here"} {
		operator.decide(s.asked(), "approved", answer).want(422).has(want)
	}
	for _, p := range []*page{operator.get(requestsPath), operator.get(anyPath(k)), v.get(keyPath(k))} {
		if p.want(200).has(evil); strings.Contains(p.body, "<script src=\"//evil") {
			t.Errorf("%s: the reason is HTML", p.what)
		}
	}
	if s.asked().Status != store.RequestOpen {
		t.Error("it was decided by an invalid form")
	}
}

// Owners see and withdraw their own requests only, and can't decide any or choose a plan.
func TestRequestsOfOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.plans("pro")
	theirs := s.issue("acme", authz.IssueRequest{Owner: "cust_2", Name: "Theirs"})
	them := s.owner("acme", "cust_2")
	them.post(keyPath(theirs), keyPath(theirs, "request-plan"), url.Values{"plan": {"pro"}, "reason": {"secret"}}).want(303)
	r := s.asked()
	v := s.owner("acme", "cust_1")
	mine := v.create()
	before := everything(s)
	v.get(keyPath(mine)).want(200).hasNot("secret")
	v.post(keyPath(mine), keyPath(mine, "withdraw"), url.Values{"request": {r.ID.String()}}).want(404)
	csrf := v.get(keyPath(mine)).hidden("csrf")
	v.do("POST", requestsPath+"/"+r.ID.String(), url.Values{"csrf": {csrf}, "decision": {"approved"}}).want(403)
	v.do("POST", keyPath(mine, "plan"), url.Values{"csrf": {csrf}, "plan": {"pro"}}).want(404)
	v.do("POST", anyPath(mine, "plan"), url.Values{"csrf": {csrf}, "plan": {"pro"}}).want(403)
	other := s.operator("other")
	csrf = other.get("/portal/other/operator/requests").want(200).hasNot("secret").hidden("csrf")
	if csrf == "" {
		csrf = other.get("/portal/other/operator/keys").hidden("csrf")
	}
	other.do("POST", "/portal/other/operator/requests/"+r.ID.String(), url.Values{"csrf": {csrf}, "decision": {"approved"}}).want(404)
	if after := everything(s); after != before {
		t.Errorf("was\n%s, is\n%s", before, after)
	}
}

func TestOperatorsChoosePlans(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Web shop"})
	operator := s.operator("acme")
	operator.get(anyPath(k)).want(200).hasNot("Plan of this key")
	s.plans("free", "pro")
	to := operator.post(anyPath(k), anyPath(k, "plan"), url.Values{"plan": {"pro"}}).want(303).saysDone(anyPath(k), "plan")
	operator.get(to).want(200).has("Plan saved.", "Plan changed")
	p := operator.post(anyPath(k), anyPath(k, "plan"), url.Values{"plan": {"none"}}).want(422)
	if !strings.Contains(p.body, `id="plan-fault"`) {
		t.Error("an unknown plan is not said beside the field")
	}
	if now := s.present(k); now.Plan != "pro" {
		t.Errorf("the plan is %q", now.Plan)
	}
	operator.post(anyPath(k), anyPath(k, "plan"), url.Values{"plan": {""}}).want(303)
	if now := s.present(k); now.Plan != "" {
		t.Errorf("the plan is %q", now.Plan)
	}
}
