package portal_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// endless is a store that returns `most` generated audit entries.
type endless struct {
	store.Store
	most   uint64
	detail string // of each
}

func (e *endless) Audit(_ context.Context, _ string, f store.AuditFilter) (entries []store.Entry, next uuid.UUID, err error) {
	last := e.most
	if f.After != uuid.Nil {
		last = binary.BigEndian.Uint64(f.After[8:]) - 1
	}
	for n := last; n > 0 && len(entries) < f.Limit; n-- {
		entry := store.Entry{
			Action: store.ActionKeyIssue, Actor: store.Actor{Kind: store.ActorSystem}, Result: store.ResultOK,
			Detail: []byte(cmp.Or(e.detail, `{}`)),
		}
		binary.BigEndian.PutUint64(entry.ID[8:], n)
		entries = append(entries, entry)
		if next = entry.ID; n == 1 {
			next = uuid.Nil
		}
	}
	return entries, next, nil
}

// operatorRoutes are the routes for operators.
func operatorRoutes() []route {
	in := func(path string) func(string, string) string {
		return func(ws, id string) string {
			return "/portal/" + ws + "/operator" + strings.ReplaceAll(path, "{id}", id)
		}
	}
	return []route{
		{method: "GET", path: in("")},
		{method: "GET", path: in("/")},
		{method: "GET", path: in("/overview")},
		{method: "GET", path: in("/keys")},
		{method: "GET", path: in("/keys?q=Theirs")},
		{method: "GET", path: in("/owner?owner=cust_1")},
		{method: "GET", path: in("/keys/new")},
		{method: "GET", path: in("/keys/{id}/live"), ofKey: true},
		{method: "POST", path: in("/keys"), form: url.Values{"owner": {"cust_1"}, "name": {"x"}, "expiry": {"86400"}}},
		{method: "GET", path: in("/find")},
		{method: "POST", path: in("/find"), form: url.Values{"pasted": {"x"}}},
		{method: "GET", path: in("/keys/{id}"), ofKey: true},
		{method: "GET", path: in("/keys/{id}/revoke"), ofKey: true},
		{method: "POST", path: in("/keys/{id}/revoke"), form: url.Values{"confirm": {"Theirs"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/pause"), form: url.Values{"reason": {"taken"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/resume"), form: url.Values{}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/addresses"), form: url.Values{"addresses": {"192.0.2.7"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/expiry"), form: url.Values{"expiry": {"date"}, "date": {"2026-03-05"}}, ofKey: true},
		{method: "POST", path: in("/keys/{id}/scopes"), form: url.Values{"scopes": {"x"}}, ofKey: true},
		{method: "GET", path: in("/revoke?id={id}"), ofKey: true},
		{method: "GET", path: in("/revoke?owner=cust_1")},
		{method: "POST", path: in("/revoke"), form: url.Values{"ids": {"{id}"}, "number": {"1"}}},
		{method: "POST", path: in("/keys/{id}/plan"), form: url.Values{"plan": {"pro"}}, ofKey: true},
		{method: "GET", path: in("/requests")},
		{method: "GET", path: in("/requests?status=any&owner=cust_1")},
		{method: "POST", path: in("/requests/" + unknownID), form: url.Values{"decision": {"approved"}}},
		{method: "GET", path: in("/plans")},
		{method: "POST", path: in("/plans"), form: url.Values{"name": {"taken"}}},
		{method: "GET", path: in("/plans/secret")},
		{method: "POST", path: in("/plans/secret"), form: url.Values{"limits": {"burst 1 1"}}},
		{method: "POST", path: in("/plans/secret/delete"), form: url.Values{}},
		{method: "GET", path: in("/audit")},
		{method: "GET", path: in("/audit.csv")},
		{method: "GET", path: in("/audit.json")},
		{method: "GET", path: in("/settings")},
		{method: "GET", path: in("/settings/look")},
		{method: "POST", path: in("/settings/policy"), form: url.Values{"perowner": {"1"}}},
		{method: "POST", path: in("/settings/look"), form: url.Values{"name": {"taken"}}},
	}
}

// Every operator's route requires a session of an operator of the workspace.
func TestWhoIsNoOperatorGetsNowhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.plans("secret", "taken")
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Theirs"})
	expired := s.operator("acme")
	s.advance(authz.LoginLife)
	for name, c := range map[string]struct {
		v      *visitor
		status int
	}{
		"nobody":                       {s.stranger(), 401},
		"an expired session":           {expired, 401},
		"the key's owner":              {s.owner("acme", "cust_1"), 403},
		"another owner":                {s.owner("acme", "cust_2"), 403},
		"an owner named operator":      {s.owner("acme", store.RoleOperator), 403},
		"another workspace's operator": {s.operator("other"), 401},
		"another workspace's owner":    {s.owner("other", "cust_1"), 401},
	} {
		csrf := "x"
		if c.status == 403 {
			csrf = c.v.get("/portal/acme/keys").hidden("csrf")
		}
		before := everything(s)
		for _, r := range operatorRoutes() {
			form := with(r.form, "csrf", csrf)
			if form.Has("ids") {
				form.Set("ids", k.ID.String())
			}
			p := c.v.do(r.method, r.path("acme", k.ID.String()), form).want(c.status).hasNot("Theirs", k.ID.String())
			if c.status == 403 {
				p.has("This page is for the provider’s staff", "Go to your keys")
			}
		}
		if after := everything(s); after != before {
			t.Errorf("%s: was\n%s, is\n%s", name, before, after)
		}
	}
}

// An operator can't reach another workspace's keys or owners' pages.
func TestWhereOperatorsGet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	foreign := s.issue("other", authz.IssueRequest{Owner: "cust_1", Name: "Theirs"})
	v := s.operator("acme")
	csrf := v.get("/portal/acme/operator/keys").hidden("csrf")
	for _, r := range operatorRoutes() {
		if !r.ofKey || r.method == "GET" && strings.HasSuffix(r.path("", ""), "/revoke") {
			continue
		}
		v.do(r.method, r.path("acme", foreign.ID.String()), with(r.form, "csrf", csrf)).want(http.StatusNotFound).hasNot("Theirs")
	}
	for _, r := range routes() {
		p := v.do(r.method, r.path("acme", unknownID), with(r.form, "csrf", csrf, "once", strings.Repeat("z", 22))).want(http.StatusForbidden)
		p.has("This page is for customers", "Go to the overview")
		if !strings.Contains(p.body, `href="/portal/acme/operator/overview">Go to the overview`) {
			t.Error("no way to the operator's list")
		}
	}
	if s.status(foreign) != store.Active {
		t.Error("another workspace's key is revoked")
	}
	for _, ws := range []string{"none", authz.Home, "%00"} {
		for _, r := range operatorRoutes() {
			v.do(r.method, r.path(ws, unknownID), r.form).want(http.StatusNotFound)
		}
	}
}

// A form from another site or without this session's csrf field is refused.
func TestForeignFormsForOperators(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Theirs"})
	v := s.operator("acme")
	csrf, others := v.get("/portal/acme/operator/keys").hidden("csrf"), s.operator("acme").get("/portal/acme/operator/keys").hidden("csrf")
	before := everything(s)
	for name, c := range map[string]struct {
		csrf   string
		header http.Header
	}{
		"no field":          {"", nil},
		"another session's": {others, nil},
		"a foreign origin":  {csrf, http.Header{"Origin": {"https://evil.example"}}},
		"the same site":     {csrf, http.Header{"Sec-Fetch-Site": {"same-site"}}},
		"neither":           {csrf, http.Header{"Sec-Fetch-Site": {}, "Origin": {}}},
	} {
		v.header = c.header
		for _, r := range operatorRoutes() {
			if r.method != "POST" {
				continue
			}
			form := with(r.form, "csrf", c.csrf)
			if form.Has("ids") {
				form.Set("ids", k.ID.String())
			}
			p := v.do("POST", r.path("acme", k.ID.String()), form)
			if p.Code != http.StatusForbidden || !strings.Contains(p.text(), "Nothing was changed") {
				t.Errorf("%s: %s: %d", name, r, p.Code)
			}
		}
	}
	if after := everything(s); after != before {
		t.Errorf("was\n%s, is\n%s", before, after)
	}
}
