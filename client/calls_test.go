package client_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

// TestCalls makes every call to a real server.
func TestCalls(t *testing.T) {
	server, admin := startServer(t)
	c := connect(t, server, admin)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *client.Client)
	}{
		{"workspaces", workspaces},
		{"keys", keys},
		{"rotation", rotation},
		{"update", update},
		{"revocation", revocation},
		{"usage", usage},
		{"portal", portalLinks},
		{"audit", audit},
		{"problems", problems},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, c) })
	}
	t.Run("partial", func(t *testing.T) { partial(t, c, server) })
}

func workspaces(t *testing.T, c *client.Client) {
	never := false
	in := client.NewWorkspace{ID: "acme", Name: "Acme", Audiences: []string{"maps"}, AllowNeverExpires: &never}
	w, err := c.CreateWorkspace(t.Context(), in)
	must(t, err)
	if w.Name != "Acme" || !slices.Equal(w.Audiences, []string{"maps"}) || w.AllowNeverExpires || w.CreatedAt.IsZero() {
		t.Errorf("created %+v", w)
	}
	w, err = c.UpdateWorkspace(t.Context(), "acme", client.Patch{
		"name":   nil,
		"policy": client.Patch{"scopes": []client.OfferedScope{{Name: "maps:read"}}, "keys_per_owner": 9},
		"portal": client.Patch{"oidc": client.Patch{"issuer": "https://login.example.test", "client_id": "x", "owner_claim": "sub"}},
	})
	must(t, err)
	if w.Name != "acme" || w.Policy.Scopes[0].Name != "maps:read" || w.Policy.KeysPerOwner != 9 || w.Portal.OIDC.ClientID != "x" {
		t.Errorf("changed to %+v", w)
	}
	_, err = c.UpdateWorkspace(t.Context(), "acme", client.Patch{"policy": nil, "portal": client.Patch{"oidc": nil}})
	must(t, err)
	w, err = c.Workspace(t.Context(), "acme")
	must(t, err)
	if w.Policy.KeysPerOwner != 0 || w.Portal.OIDC != nil || !json.Valid([]byte(w.Raw.Reveal())) {
		t.Errorf("is %+v", w)
	}
	var ids []string
	for w, err := range c.Workspaces().All(t.Context()) {
		must(t, err)
		ids = append(ids, w.ID)
	}
	if !slices.Equal(ids, []string{"acme", "burnkey"}) {
		t.Errorf("lists %v", ids)
	}
}

func issue(t *testing.T, c *client.Client, k client.NewKey) *client.IssuedKey {
	t.Helper()
	issued, err := c.IssueKey(t.Context(), "acme", k, "")
	must(t, err)
	return issued
}

func keys(t *testing.T, c *client.Client) {
	hour := int64(3600)
	in := client.NewKey{
		Owner: "cust_1", Name: "n", Scopes: []string{"s"}, Audience: []string{"maps"}, ExpiresIn: &hour,
		Claims: json.RawMessage(`{"tier":1}`), Metadata: json.RawMessage(`{"a":{"b":2}}`),
	}
	first, err := c.IssueKey(t.Context(), "acme", in, "once")
	must(t, err)
	if first.Token == "" || first.Owner != "cust_1" || string(first.Claims) != `{"tier":1}` || first.ExpiresAt == nil || first.Partial() {
		t.Errorf("issued %+v", first)
	}
	var problem *client.Problem
	if _, err := c.IssueKey(t.Context(), "acme", in, "once"); !errors.As(err, &problem) || problem.Status != 409 || problem.KeyID != first.ID {
		t.Errorf("issued again: %v", err)
	}
	in.Name = "other"
	if _, err := c.IssueKey(t.Context(), "acme", in, "once"); !errors.As(err, &problem) || problem.Code != "idempotency_key_reused" {
		t.Errorf("issued another by the same Idempotency-Key: %v", err)
	}
	changed, err := c.UpdateKey(t.Context(), "acme", first.ID, client.Patch{"name": "new", "metadata": client.Patch{"a": nil, "c": 3}})
	must(t, err)
	key, err := c.Key(t.Context(), "acme", first.ID)
	must(t, err)
	if changed.Name != "new" || key.Name != "new" || string(key.Metadata) != `{"c":3}` || key.Raw != changed.Raw {
		t.Errorf("changed to %s", key.Raw.Reveal())
	}
	second := issue(t, c, client.NewKey{Owner: "cust_2"})
	listed := func(f client.KeyFilter) (ids []string) {
		for key, err := range c.Keys("acme", f).All(t.Context()) {
			must(t, err)
			ids = append(ids, key.ID)
		}
		return ids
	}
	for _, test := range []struct {
		filter client.KeyFilter
		want   []string
	}{
		{client.KeyFilter{}, []string{second.ID, first.ID}},
		{client.KeyFilter{Owner: "cust_1"}, []string{first.ID}},
		{client.KeyFilter{Status: "revoked"}, nil},
		{client.KeyFilter{Query: second.KID}, []string{second.ID}},
	} {
		if got := listed(test.filter); !slices.Equal(got, test.want) {
			t.Errorf("%+v: lists %v, want %v", test.filter, got, test.want)
		}
	}
	paged(t, c, []string{second.ID, first.ID})
}

// paged reads the list of keys in pages of one key.
func paged(t *testing.T, c *client.Client, want []string) {
	list, cursor := c.Keys("acme", client.KeyFilter{}), ""
	for i, id := range want {
		page, err := list.Page(t.Context(), 1, cursor)
		must(t, err)
		if len(page.Items) != 1 || page.Items[0].ID != id || (page.Next == "") != (i == len(want)-1) {
			t.Fatalf("page %d is %+v", i, page)
		}
		if one := as[map[string]any](t, json.RawMessage(page.Items[0].Raw.Reveal())); one["id"] != id {
			t.Errorf("page %d: the text is not the item's: %v", i, one)
		}
		cursor = page.Next
	}
}

func rotation(t *testing.T, c *client.Client) {
	old := issue(t, c, client.NewKey{Owner: "cust_3"})
	next, err := c.RotateKey(t.Context(), "acme", old.ID, client.Rotation{Grace: "1h"}, "rotate")
	must(t, err)
	if next.RotatedFrom != old.ID || next.Token == "" || next.Token == old.Token {
		t.Errorf("the successor is %+v", next)
	}
	back, err := c.UndoRotation(t.Context(), "acme", next.ID)
	must(t, err)
	if back.ID != old.ID || back.Status != "active" {
		t.Errorf("undone: %+v", back)
	}
	_, err = c.RotateKey(t.Context(), "acme", old.ID, client.Rotation{}, "")
	must(t, err)
	ended, err := c.EndGrace(t.Context(), "acme", old.ID)
	must(t, err)
	if ended.ID != old.ID || ended.Status != "revoked" || ended.RevokedAt == nil {
		t.Errorf("ended: %+v", ended)
	}
}

func update(t *testing.T, c *client.Client) {
	fenced := issue(t, c, client.NewKey{
		Owner: "cust_9", AllowedIPs: []string{"192.0.2.7"}, Limits: []jwks.Limit{{Name: "b", Requests: 1, Seconds: 2}},
	})
	if !slices.Equal(fenced.AllowedIPs, []string{"192.0.2.7/32"}) || fenced.EnforcedBy["limits"] != "gateway" ||
		!slices.Equal(fenced.Ceiling.AllowedIPs, fenced.AllowedIPs) || fenced.Ceiling.Scopes != nil {
		t.Errorf("issued %+v", fenced)
	}
	suspended, err := c.UpdateKey(t.Context(), "acme", fenced.ID, client.Patch{"enabled": false, "suspended_reason": "abuse", "limits": nil})
	must(t, err)
	if suspended.Enabled || suspended.Status != "suspended" || suspended.SuspendedAt == nil || suspended.SuspendedBy != "producer" {
		t.Errorf("suspended %+v", suspended)
	}
	in := client.KeyUpdate{
		Selection: client.Selection{Owner: "cust_9", DryRun: true}, Change: client.Patch{"enabled": true, "allowed_ips": []string{}},
	}
	for _, want := range []struct {
		count  int
		status string
	}{{1, "suspended"}, {1, "active"}, {0, ""}} {
		many, err := c.UpdateKeys(t.Context(), "acme", in)
		must(t, err)
		if many.Count != want.count || many.NextCursor != nil || many.DryRun != in.DryRun {
			t.Errorf("dry run %v: %+v", in.DryRun, many)
		}
		if want.count > 0 && many.Keys[0].Status != want.status {
			t.Errorf("dry run %v: the key is %s", in.DryRun, many.Keys[0].Status)
		}
		in.DryRun = false
	}
	var problem *client.Problem
	_, err = c.UpdateKey(t.Context(), "acme", fenced.ID, client.Patch{"plan": "none"})
	if !errors.As(err, &problem) || problem.Status != 422 {
		t.Errorf("a plan that does not exist: %v", err)
	}
}

func revocation(t *testing.T, c *client.Client) {
	key := issue(t, c, client.NewKey{Owner: "cust_4"})
	gone, err := c.RevokeKey(t.Context(), "acme", key.ID)
	must(t, err)
	again, err := c.RevokeKey(t.Context(), "acme", key.ID)
	must(t, err)
	if gone.ID != key.ID || gone.Version == 0 || *gone != *again {
		t.Errorf("revoked %+v, then %+v", gone, again)
	}
	key = issue(t, c, client.NewKey{Owner: "cust_4", Scopes: []string{"x"}})
	in := client.Selection{IDs: []string{key.ID}, Owner: "cust_4", Scope: "x", CreatedBefore: time.Now().Add(time.Hour), DryRun: true}
	for _, status := range []string{"active", "revoked"} {
		many, err := c.RevokeKeys(t.Context(), "acme", in)
		must(t, err)
		if many.Count != 1 || many.More || many.DryRun != in.DryRun || many.Keys[0].ID != key.ID || many.Keys[0].Status != status {
			t.Errorf("dry run %v: %+v", in.DryRun, many)
		}
		if !strings.HasPrefix(many.Keys[0].Raw.Reveal(), `{"id":`) {
			t.Errorf("the key's text is %q", many.Keys[0].Raw.Reveal())
		}
		in.DryRun = false
	}
}

func usage(t *testing.T, c *client.Client) {
	key := issue(t, c, client.NewKey{Owner: "cust_5"})
	at := time.Now()
	done, err := c.ReportUsage(t.Context(), "acme", client.UsageReport{
		Keys:     []client.KeyUse{{KID: key.KID, LastUsedAt: at}, {KID: strings.Repeat("A", len(key.KID)), LastUsedAt: at}},
		Complete: true, Reporter: "r", SentAt: at, Until: at,
	})
	must(t, err)
	if done.Recorded != 1 || done.Unknown != 1 {
		t.Errorf("recorded %+v", done)
	}
	_, err = c.ReportUsage(t.Context(), "acme", client.UsageReport{})
	must(t, err)
	used, err := c.Key(t.Context(), "acme", key.ID)
	must(t, err)
	if used.LastUsedAt == nil || used.LastUsedAt.Before(at.Truncate(time.Second)) {
		t.Errorf("last used at %v, want %v", used.LastUsedAt, at)
	}
}

func portalLinks(t *testing.T, c *client.Client) {
	link, err := c.CreatePortalSession(t.Context(), "acme", client.NewPortalSession{
		Owner: "cust_1", ScopesAllowed: []string{}, Subject: "jane", ReturnURL: "https://example.test", ExpiresIn: 60,
	})
	must(t, err)
	if !strings.HasPrefix(link.URL.Reveal(), "https://keys.example.test/portal/") || time.Until(link.ExpiresAt) > time.Minute {
		t.Errorf("the link is good until %v", link.ExpiresAt)
	}
	_, err = c.CreatePortalSession(t.Context(), "acme", client.NewPortalSession{Role: "operator"})
	must(t, err)
	ended, err := c.EndPortalSessions(t.Context(), "acme", "cust_1")
	must(t, err)
	all, err := c.EndAllPortalSessions(t.Context(), "acme")
	must(t, err)
	if ended.Ended != 1 || all.Ended != 1 {
		t.Errorf("ended %d, then %d", ended.Ended, all.Ended)
	}
	if _, err := c.EndPortalSessions(t.Context(), "acme", ""); err == nil {
		t.Error("no owner means all owners")
	}
}

func audit(t *testing.T, c *client.Client) {
	f := client.AuditFilter{Action: "key.issue", Owner: "cust_1", Result: "ok"}
	f.Since, f.Until = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	var found []client.Entry
	for e, err := range c.Audit("acme", f).All(t.Context()) {
		must(t, err)
		found = append(found, e)
	}
	if len(found) != 1 || found[0].Action != "key.issue" || found[0].Actor.Kind != "key" || found[0].Key == "" || len(found[0].Detail) == 0 {
		t.Fatalf("found %+v", found)
	}
	f.Key, f.Actor = found[0].Key, found[0].Actor.ID
	var table bytes.Buffer
	must(t, c.ExportAudit(t.Context(), "acme", f, &table))
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(table.String(), "\ufeff"))).ReadAll()
	must(t, err)
	if len(rows) != 2 || rows[0][0] != "at" || !slices.Contains(rows[1], found[0].ID) {
		t.Errorf("the table is %q", rows)
	}
}

// TestExportOfSeveralPages checks that the pages of an export become one table.
func TestExportOfSeveralPages(t *testing.T) {
	c := connect(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		cursor := r.FormValue("cursor")
		if cursor == "" {
			w.Header().Set("Link", `<?cursor=a%2Bb&limit=1000>; rel="next"`)
		}
		fmt.Fprintf(w, "\ufeffat,id\nrow,%q\n", cursor)
	}), "k")
	var table bytes.Buffer
	must(t, c.ExportAudit(t.Context(), "acme", client.AuditFilter{}, &table))
	if want := "\ufeffat,id\nrow,\"\"\nrow,\"a+b\"\n"; table.String() != want {
		t.Errorf("the table is %q, want %q", table.String(), want)
	}
	endless := connect(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `<?cursor=a>; rel="next"`)
	}), "k")
	if err := endless.ExportAudit(t.Context(), "acme", client.AuditFilter{}, io.Discard); err == nil {
		t.Error("a table without an end is no error")
	}
}

// partial checks the answers to a management key that cannot read keys.
func partial(t *testing.T, c *client.Client, server string) {
	writer, err := c.IssueKey(t.Context(), "burnkey", client.NewKey{Owner: "o", Scopes: []string{"keys:write", "workspaces:write"}}, "")
	must(t, err)
	key := issue(t, c, client.NewKey{Owner: "cust_6"})
	blind := connect(t, server, writer.Token.Reveal())
	next, err := blind.RotateKey(t.Context(), "acme", key.ID, client.Rotation{}, "")
	must(t, err)
	old, err := blind.UndoRotation(t.Context(), "acme", key.ID)
	must(t, err)
	if !next.Partial() || next.Token == "" || !old.Partial() || old.ID != key.ID || old.CreatedAt.IsZero() {
		t.Errorf("rotated: %+v, undone: %+v", next, old)
	}
	w, err := blind.UpdateWorkspace(t.Context(), "acme", client.Patch{"name": "x"})
	must(t, err)
	if w.Name != "" || w.Audiences != nil || w.Policy != nil || w.Issuer == "" {
		t.Errorf("the workspace is %+v", w)
	}
}

func problems(t *testing.T, c *client.Client) {
	for name, test := range map[string]struct {
		call   func() error
		status int
		code   string
		field  string
	}{
		"not found": {func() error { _, err := c.Key(t.Context(), "acme", "x"); return err }, 404, "not_found", ""},
		"conflict": {func() error {
			_, err := c.CreateWorkspace(t.Context(), client.NewWorkspace{ID: "acme"})
			return err
		}, 409, "workspace_exists", "id"},
		"invalid": {func() error { _, err := c.IssueKey(t.Context(), "acme", client.NewKey{}, ""); return err }, 422, "invalid_input", "owner"},
		"unknown": {func() error {
			_, err := c.UpdateKey(t.Context(), "acme", "x", client.Patch{"x": 1})
			return err
		}, 422, "invalid_input", "x"},
		"all keys": {func() error { _, err := c.RevokeKeys(t.Context(), "acme", client.Selection{}); return err }, 422, "invalid_input", "body"},
	} {
		var p *client.Problem
		if err := test.call(); !errors.As(err, &p) {
			t.Errorf("%s: %v is no Problem", name, err)
			continue
		}
		fault := test.field == "" || len(p.Errors) > 0 && p.Errors[0].Field == test.field && p.Errors[0].Detail != ""
		if p.Status != test.status || !fault || p.Detail == "" || p.Title == "" || p.RequestID == "" ||
			p.Code != test.code || !strings.HasSuffix(p.Type, "/docs/problems/"+test.code) {
			t.Errorf("%s: %#v", name, p)
		}
	}
}
