package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/store"
)

const usagePath = "/v1/workspaces/acme/usage"

func used(at time.Time, keys ...issued) string {
	var items []string
	for _, k := range keys {
		items = append(items, fmt.Sprintf(`{"kid":%q,"last_used_at":%q}`, k.kid, at.Format(time.RFC3339Nano)))
	}
	return `{"keys":[` + strings.Join(items, ",") + `],"complete":true}`
}

func TestReportUsageAnswers(t *testing.T) {
	s := newServer(t)
	mine, unused, theirs := s.issue("acme", map[string]any{}), s.issue("acme", map[string]any{}), s.issue("other", map[string]any{})
	wantSubset(t, s.do("GET", keysPath+"/"+mine.id, nil).want(200).object(), `{"last_used_at":null}`)
	wantSubset(t, s.do("GET", "/v1/workspaces/acme", nil).want(200).object(), `{"usage_since":null,"usage_reported_at":null}`)

	at := s.now().Add(-time.Minute).UTC().Truncate(time.Microsecond)
	gateway := as(s.manager("", "gateway"))
	a := s.do("POST", usagePath, used(at, mine, theirs), gateway).want(200).object()
	wantMembers(t, a, "recorded", "unknown")
	wantSubset(t, a, `{"recorded":1,"unknown":1}`)
	for _, shown := range []map[string]any{
		s.do("GET", keysPath+"/"+mine.id, nil).want(200).object(),
		s.do("GET", keysPath, nil).want(200).object()["keys"].([]any)[1].(map[string]any),
	} {
		if got := wantTime(t, shown["last_used_at"]); !got.Equal(at) {
			t.Errorf("last used at %s, want %s", got, at)
		}
	}
	wantSubset(t, s.do("GET", keysPath+"/"+unused.id, nil).want(200).object(), `{"last_used_at":null}`)
	wantSubset(t, s.do("GET", "/v1/workspaces/other/keys/"+theirs.id, nil).want(200).object(), `{"last_used_at":null}`)
	shown := s.do("GET", "/v1/workspaces/acme", nil).want(200).object()
	if since := wantTime(t, shown["usage_since"]); !since.Equal(wantTime(t, shown["usage_reported_at"])) || since.Before(at) {
		t.Errorf("reported: %v", shown)
	}
	wantSubset(t, s.do("DELETE", keysPath+"/"+mine.id, nil).want(200).object(), `{"status":"revoked"}`)
	wantSubset(t, s.do("POST", usagePath, used(s.now().Add(time.Hour), mine), gateway).want(200).object(), `{"recorded":1,"unknown":0}`)

	behind := fmt.Sprintf(`{"keys":[],"complete":true,"reporter":"gw-2","sent_at":%q,"until":%q}`,
		s.now().Add(-25*time.Hour).Format(time.RFC3339Nano), s.now().Add(-26*time.Hour).Format(time.RFC3339Nano))
	s.do("POST", usagePath, behind, gateway).want(200)
	shown = s.do("GET", "/v1/workspaces/acme", nil).want(200).object()
	if until := wantTime(t, shown["usage_until"]); wantTime(t, shown["usage_reported_at"]).Sub(until).Round(time.Minute) != time.Hour {
		t.Errorf("a reporter lags: %v", shown)
	}
	s.sleep(time.Minute)
	wantSubset(t, s.do("POST", usagePath, `{"keys":[],"complete":true}`, gateway).want(200).object(), `{"recorded":0,"unknown":0}`)
	later := s.do("GET", "/v1/workspaces/acme", nil).want(200).object()
	if later["usage_since"] != shown["usage_since"] || later["usage_reported_at"] == shown["usage_reported_at"] {
		t.Errorf("an empty report: %v, before: %v", later, shown)
	}
	s.do("POST", usagePath, `{"keys":[],"complete":false}`, gateway).want(200)
	if since := s.do("GET", "/v1/workspaces/acme", nil).want(200).object()["usage_since"]; since == shown["usage_since"] {
		t.Error("an incomplete report is one like another")
	}
	entries, _, err := s.service.Audit(t.Context(), "acme", store.AuditFilter{Limit: 100})
	if must(t, err); len(entries) != 4 { // the workspace, two keys, a revocation
		t.Errorf("the audit has %d entries", len(entries))
	}
}

func TestReportUsageRefusals(t *testing.T) {
	s := newServer(t)
	k := s.issue("acme", map[string]any{})
	good := used(s.now(), k)
	for _, c := range []struct {
		tie    string
		scopes []string
		status int
	}{
		{"", []string{"gateway"}, 200},
		{"acme", []string{"gateway"}, 200},
		{"acme", []string{"admin"}, 200},
		{"other", []string{"gateway"}, 403},
		{"", []string{"keys:read", "keys:write", "workspaces:read", "workspaces:write", "audit:read"}, 403},
	} {
		if a := s.do("POST", usagePath, good, as(s.manager(c.tie, c.scopes...))); a.status != c.status {
			t.Errorf("%q %v: %d", c.tie, c.scopes, a.status)
		}
	}
	gateway := as(s.manager("", "gateway"))
	s.do("POST", "/v1/workspaces/burnkey/usage", good, gateway).want(403)
	s.do("POST", "/v1/workspaces/none/usage", good, gateway).want(404)
	item := strings.TrimSuffix(strings.TrimPrefix(good, `{"keys":[`), `],"complete":true}`)
	for body, field := range map[string]string{
		`{}`: "keys", `{"complete":true}`: "keys", `{"keys":{}}`: "keys", `{"keys":[1]}`: "keys", `{"keys":null}`: "keys",
		`{"keys":[{"kid":"` + k.kid + `"}],"complete":true}`:                                                    "keys[0].last_used_at",
		strings.Replace(good, k.kid, k.id, 1):                                                                   "keys[0].kid",
		strings.Replace(good, k.kid, k.kid[:42]+"+", 1):                                                         "keys[0].kid",
		strings.Replace(good, k.kid, k.kid[:42]+"_", 1):                                                         "keys[0].kid", // not canonical
		`{"keys":[{"kid":"` + k.kid + `","last_used_at":"2026-11-26"}],"complete":true}`:                        "keys[0].last_used_at",
		`{"keys":[` + item + `,{"kid":"` + k.kid + `","last_used_at":"1969-12-31T23:59:59Z"}],"complete":true}`: "keys[1].last_used_at",
		`{"keys":[` + strings.Repeat(item+",", 500) + item + `],"complete":true}`:                               "keys",
		`{"keys":[]}`: "complete", `{"keys":[],"complete":null}`: "complete",
		`{"keys":[],"complete":true,"reporter":""}`:                    "reporter",
		`{"keys":[],"complete":true,"reporter":"a b"}`:                 "reporter",
		`{"keys":[],"complete":true,"sent_at":"0001-01-01T00:00:00Z"}`: "sent_at",
		`{"keys":[],"complete":true,"until":"9999-01-01T00:00:00Z"}`:   "until",
		`{"keys":[],"key":1}`: "key",
	} {
		if p := s.do("POST", usagePath, body, gateway).want(422).problem(); !p.names(field) {
			t.Errorf("%.60s blames %v", body, p.Errors)
		}
	}
	s.do("POST", usagePath, `{"keys":[`+strings.Repeat(item+",", 499)+item+`],"complete":true}`, gateway).want(200) // fits the longest body
}

func TestRevokeUnusedAnswers(t *testing.T) {
	s := newServer(t)
	idle, busy := s.issue("acme", map[string]any{}), s.issue("acme", map[string]any{})
	const path = "/v1/workspaces/acme/revocations"
	for _, text := range []string{`"x"`, `""`, `"0"`, `"-48h"`, `"23h59m"`, `48`} {
		if p := s.do("POST", path, `{"unused_for":`+text+`}`).want(422).problem(); !p.names("unused_for") {
			t.Errorf("%s blames %v", text, p.Errors)
		}
	}
	refused := func(says string) {
		t.Helper()
		p := s.do("POST", path, `{"unused_for":"48h"}`).want(409).problem()
		if !p.names("unused_for") || !strings.Contains(p.Detail, says) {
			t.Errorf("%+v", p)
		}
	}
	refused("No gateway reports")
	for range 3 {
		s.do("POST", usagePath, used(s.now(), busy)).want(200)
		refused("is known from")
		s.sleep(17 * time.Hour)
	}
	s.do("POST", usagePath, used(s.now(), busy)).want(200)
	s.sleep(time.Second)
	a := s.do("POST", path, `{"unused_for":"48h","dry_run":true}`).want(200)
	if wantSubset(t, a.object(), `{"count":1,"more":false}`); !strings.Contains(string(a.body), idle.id) {
		t.Errorf("would revoke %s", a.body)
	}
	wantSubset(t, s.do("POST", path, `{"unused_for":"48h"}`).want(200).object(), `{"count":1}`)
	for _, k := range []issued{idle, busy} {
		if got, want := s.do("GET", keysPath+"/"+k.id, nil).text("status"), map[bool]string{
			true:  "revoked",
			false: "active",
		}[k == idle]; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	s.sleep(25 * time.Hour)
	refused("last reported at")
}
