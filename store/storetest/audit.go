package storetest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

var auditTests = []test{
	{"has an entry of each change, in its order", auditChanges},
	{"says who it was, and from where", auditActor},
	{"says what an update changed", auditDetail},
	{"has nothing of what was refused or changed nothing", auditNothing},
	{"stores what is recorded", auditRecord},
	{"selects and pages", auditFilter},
	{"selects by time to the microsecond", auditTimes},
	{"holds no picture, token or session's secret", auditSecrets},
	{"keeps the order of one time's entries", auditOrder},
	{"is cut of what is old", auditCut},
	{"ends by bytes and by what was looked at, and goes on", auditBounds},
}

// audit lists entries: all entries if f has no limit.
func (e env) audit(workspace string, f store.AuditFilter) []store.Entry {
	e.Helper()
	if f.Limit == 0 {
		f.Limit = 10000
	}
	list, _, err := e.Audit(e.ctx, workspace, f)
	e.ok(err)
	if list == nil {
		e.Fatal("a list is nil")
	}
	return list
}

// entry has the fields of a store.Entry that the tests compare.
type entry struct {
	Action string
	Key    uuid.UUID
	Owner  string
	At     time.Time
}

func entriesOf(list []store.Entry) []entry {
	short := []entry{}
	for _, e := range list {
		short = append(short, entry{e.Action, e.Key, e.Owner, e.At})
	}
	return short
}

func auditChanges(e env) {
	e.create("acme")
	want := []entry{{store.ActionWorkspaceCreate, uuid.Nil, "", now}}
	e.withMaker()
	did := func(action string, k store.Key, at time.Time) { want = append(want, entry{action, k.ID, k.Owner, at}) }

	at := now.Add(time.Minute)
	_, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error { w.UpdatedAt = at; return nil })
	e.ok(err)
	did(store.ActionWorkspaceUpdate, store.Key{}, at)
	next := func() time.Time { at = at.Add(time.Second); return at }
	record := func() store.Key {
		k := NewRecord("acme", "cust_1")
		k.CreatedAt, k.ExpiresAt = next(), at.Add(time.Hour)
		return k
	}
	first, _ := e.issue(record())
	did(store.ActionKeyIssue, first, at)
	_, err = e.UpdateKey(e.ctx, "acme", first.ID, func(_ *store.Workspace, k *store.Key) error { k.UpdatedAt = next(); return nil })
	e.ok(err)
	did(store.ActionKeyUpdate, first, at)
	_, second, err := e.Rotate(e.ctx, "acme", first.ID, record(), NewKey(e), at.Add(time.Minute), nil)
	e.ok(err)
	did(store.ActionKeyRotate, first, at)
	did(store.ActionKeyIssue, second, at)
	_, _, err = e.UndoRotation(e.ctx, "acme", first.ID, uuid.Nil, next())
	e.ok(err)
	did(store.ActionRotationUndo, first, at)
	did(store.ActionKeyRevoke, second, at)
	_, third, err := e.Rotate(e.ctx, "acme", first.ID, record(), NewKey(e), at.Add(time.Second), nil)
	e.ok(err)
	did(store.ActionKeyRotate, first, at)
	did(store.ActionKeyIssue, third, at)
	_, err = e.retire("acme", first.ID, next())
	e.ok(err)
	did(store.ActionGraceEnd, first, at)
	at = third.ExpiresAt
	_, err = e.retire("acme", third.ID, at)
	e.ok(err)
	did(store.ActionKeyExpire, third, at)
	_, err = e.Revoke(e.ctx, "acme", third.ID, next())
	e.ok(err)
	did(store.ActionKeyRevoke, third, at)

	link := newSession(store.KindLink)
	link.CreatedAt, link.ExpiresAt = next(), at.Add(time.Hour)
	e.ok(e.CreateSession(e.ctx, link))
	did(store.ActionSessionCreate, store.Key{Owner: "cust_1"}, at)
	session := newSession(store.KindSession)
	session.CreatedAt, session.ExpiresAt = next(), at.Add(time.Hour)
	_, err = e.ExchangeSession(e.ctx, link.Hash, session, at)
	e.ok(err)
	did(store.ActionSessionStart, store.Key{Owner: "cust_1"}, at)
	e.ok(e.EndSession(e.ctx, session.Hash, next()))
	did(store.ActionSessionEnd, store.Key{Owner: "cust_1"}, at)

	got := e.audit("acme", store.AuditFilter{})
	slices.Reverse(want)
	e.equal("entries", entriesOf(got), want)
	for _, entry := range got {
		if entry.Workspace != "acme" || entry.Result != store.ResultOK || entry.ID.Version() != 7 || !json.Valid(entry.Detail) {
			e.Errorf("%+v, detail %s", entry, entry.Detail)
		}
	}
	e.ok(e.Close())
	e.Store = e.open()
	e.equal("opened again", e.audit("acme", store.AuditFilter{}), got)
}

func auditActor(e env) {
	who := store.Actor{Kind: store.ActorSession, ID: `jo "the key" ✓`, From: "2001:db8::1"}
	e.ctx = store.By(e.ctx, who)
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.rotate(k)
	old, err := e.retire("acme", k.ID, now.Add(time.Minute))
	e.ok(err)
	e.revoke(e.issueMany("acme", "p")[0])
	e.createSession(store.KindLink)
	list := e.audit("acme", store.AuditFilter{})
	e.equal("entries", len(list), 8)
	for _, entry := range list {
		want := who
		if entry.Action == store.ActionGraceEnd { // which no caller requested
			want = store.Actor{Kind: store.ActorSystem}
			e.equal("key", entry.Key, old.ID)
		}
		e.equal("actor of "+entry.Action, entry.Actor, want)
	}
	// An actor's name that a text column can't store must not make the change fail.
	e.ctx = store.By(e.ctx, store.Actor{Kind: store.ActorKey, ID: "a\x00b", From: "\xff"})
	e.issueMany("acme", "q")
	e.equal("actor", e.audit("acme", store.AuditFilter{Owner: "q"})[0].Actor,
		store.Actor{Kind: store.ActorKey, ID: "a\ufffdb", From: "\ufffd"})
}

// detail returns the detail of the latest entry of an action.
func (e env) detail(action string) map[string]any {
	e.Helper()
	list := e.audit("acme", store.AuditFilter{Action: action, Limit: 1})
	e.equal("entries of "+action, len(list), 1)
	var detail map[string]any
	e.ok(json.Unmarshal(list[0].Detail, &detail))
	return detail
}

func auditDetail(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	issued := e.detail(store.ActionKeyIssue)
	e.equal("kid", issued["kid"], any(k.KID.String()))
	e.equal("name", issued["name"], any("key of o"))
	e.equal("scopes", issued["scopes"], any([]any{"maps:read", "maps:write"}))
	change := func(before, after any) any { return map[string]any{"before": before, "after": after} }
	_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
		k.Name, k.Metadata = `<new> & "x"`, json.RawMessage(`{"a": 1}`)
		return nil
	})
	e.ok(err)
	e.equal("update", e.detail(store.ActionKeyUpdate), map[string]any{
		"name":     change("key of o", `<new> & "x"`),
		"metadata": change(map[string]any{"team": []any{1.0, 2.0}}, map[string]any{"a": 1.0}),
	})
	_, err = e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { k.UpdatedAt = now.Add(time.Hour); return nil })
	e.ok(err)
	e.equal("no change", e.detail(store.ActionKeyUpdate), map[string]any{})
	_, err = e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error {
		w.AllowNeverExpires, w.Policy.KeysPerOwner = true, 3
		return nil
	})
	e.ok(err)
	e.equal("workspace", e.detail(store.ActionWorkspaceUpdate), map[string]any{
		"allow_never_expires": change(false, true),
		"policy":              change(map[string]any{}, map[string]any{"keys_per_owner": 3.0}),
	})
	_, err = e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error {
		w.Policy.MaxExpiresIn, w.Policy.KeysPerOwner = 60, 3
		return nil
	})
	e.ok(err)
	e.equal("what stays is not named", e.detail(store.ActionWorkspaceUpdate), map[string]any{
		"policy": change(map[string]any{}, map[string]any{"max_expires_in": 60.0}),
	})
	_, issuedKey := e.rotate(k)
	e.equal("rotated to", e.detail(store.ActionKeyRotate)["rotated_to"], any(issuedKey.ID.String()))
}

func auditNothing(e env) {
	e.create("acme")
	k, pub := e.issue(NewRecord("acme", "o"))
	revoked := e.revoke(k)
	old, _ := e.rotate(e.issueMany("acme", "o")[0])
	want := e.audit("acme", store.AuditFilter{})
	refusal := errors.New("refused")
	for name, refused := range map[string]func() error{
		"create": func() error {
			_, err := e.CreateWorkspace(e.ctx, store.Workspace{ID: "acme"}, NewKey(e))
			return err
		},
		"issue":   func() error { _, err := e.Issue(e.ctx, NewRecord("acme", "o"), pub, nil); return err },
		"nowhere": func() error { _, err := e.Issue(e.ctx, NewRecord("nobody", "o"), NewKey(e), nil); return err },
		"update": func() error {
			_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(*store.Workspace, *store.Key) error { return refusal })
			return err
		},
		"update workspace": func() error {
			_, err := e.UpdateWorkspace(e.ctx, "acme", func(*store.Workspace) error { return refusal })
			return err
		},
		"revoke": func() error { _, err := e.Revoke(e.ctx, "acme", uuid.Max, now); return err },
	} {
		if err := refused(); err == nil {
			e.Errorf("%s passes", name)
		}
	}
	e.equal("revoked again", e.revoke(k), revoked)
	_, err := e.retire("acme", old.ID, now)
	e.ok(err)
	e.equal("audit", e.audit("acme", store.AuditFilter{}), want)
	e.equal("audit of an unknown workspace", e.audit("nobody", store.AuditFilter{}), []store.Entry{})
}

func auditRecord(e env) {
	e.create("acme")
	given := store.Entry{
		ID: uuid.Max, Workspace: "acme", At: now.Add(999).In(time.FixedZone("", 60)),
		Actor:  store.Actor{Kind: store.ActorKey, ID: "x", From: "::1"},
		Action: store.ActionCallRefuse, Key: uuid.Must(uuid.NewV7()), Owner: "o", Result: store.ResultRefused,
		Detail: json.RawMessage(`{ "why" : "<scope>" }`),
	}
	e.ok(e.Record(e.ctx, given))
	list := e.audit("acme", store.AuditFilter{Limit: 1, Result: store.ResultRefused})
	want := given
	want.ID, want.At = list[0].ID, now
	e.equal("recorded", list, []store.Entry{want})
	if want.ID == given.ID {
		e.Error("the id is the caller's")
	}
	// This entry has the context's actor, an unknown workspace, and neither a key nor a detail.
	who := store.Actor{Kind: store.ActorCLI}
	e.ok(e.Record(store.By(e.ctx, who), store.Entry{Workspace: "nobody", At: now, Action: "x", Result: store.ResultOK}))
	list = e.audit("nobody", store.AuditFilter{})
	e.equal("bare", list, []store.Entry{{
		ID: list[0].ID, Workspace: "nobody", At: now, Actor: who, Action: "x", Result: store.ResultOK, Detail: json.RawMessage(`{}`),
	}})
	if err := e.Record(e.ctx, store.Entry{Workspace: "acme", Action: "x"}); err == nil {
		e.Error("an entry without a time passes")
	}
}

func auditFilter(e env) {
	e.create("acme")
	e.create("other")
	key := uuid.Must(uuid.NewV7())
	for i := range 24 {
		entry := store.Entry{
			Workspace: "acme", At: now.Add(time.Duration(i) * time.Second), Action: []string{"a", "b"}[i%2], Owner: []string{"", "o", "p"}[i%3],
			Actor: store.Actor{Kind: store.ActorKey, ID: []string{"x", "y"}[i/12]}, Result: []string{store.ResultOK, store.ResultRefused}[i/6%2],
		}
		if i%4 == 0 {
			entry.Key = key
		}
		e.ok(e.Record(e.ctx, entry))
		entry.Workspace = "other"
		e.ok(e.Record(e.ctx, entry))
	}
	all := e.audit("acme", store.AuditFilter{})
	e.equal("all", len(all), 25)
	for _, f := range []store.AuditFilter{
		{},
		{Owner: "o"},
		{Owner: "O"},
		{Key: key},
		{Action: "a"},
		{Action: store.ActionWorkspaceCreate},
		{ActorID: "x"},
		{Result: store.ResultRefused},
		{Owner: "o", Key: key},
		{Owner: "p", Action: "b", ActorID: "y", Result: store.ResultOK},
		{Since: now.Add(3 * time.Second)},
		{Until: now.Add(9 * time.Second)},
		{Owner: "o", Since: now.Add(2 * time.Second), Until: now.Add(20 * time.Second)},
		{Owner: "'"},
		{Owner: "\x00"},
		{Action: "\xff"},
		{After: all[5].ID},
		{Key: key, After: all[5].ID},
		{After: uuid.Max},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(entry store.Entry) bool { return !selectsEntry(f, entry) })
		if want == nil {
			want = []store.Entry{}
		}
		e.equal("selected", e.audit("acme", f), want)
		for _, f.Limit = range []int{1, 4, 100} {
			got, page := []store.Entry{}, f
			for {
				list := e.audit("acme", page)
				got = append(got, list...)
				if len(list) < page.Limit {
					break
				}
				page.After = list[len(list)-1].ID
			}
			e.equal("in pages", got, want)
		}
	}
	for _, limit := range []int{0, -1} {
		if _, _, err := e.Audit(e.ctx, "acme", store.AuditFilter{Limit: limit}); err == nil {
			e.Errorf("a limit of %d passes", limit)
		}
	}
}

// selectsEntry reports whether f selects an entry. It follows the contract, not a backend's code.
func selectsEntry(f store.AuditFilter, e store.Entry) bool {
	return (f.Owner == "" || f.Owner == e.Owner) && (f.Key == uuid.Nil || f.Key == e.Key) && (f.Action == "" || f.Action == e.Action) &&
		(f.ActorID == "" || f.ActorID == e.Actor.ID) && (f.Result == "" || f.Result == e.Result) &&
		(f.Since.IsZero() || !e.At.Before(f.Since)) && (f.Until.IsZero() || e.At.Before(f.Until)) &&
		(f.After == uuid.Nil || slices.Compare(e.ID[:], f.After[:]) < 0)
}

func auditTimes(e env) {
	at := now.Truncate(time.Millisecond).Add(500 * time.Microsecond)
	e.ok(e.Record(e.ctx, store.Entry{Workspace: "acme", At: at, Action: "x"}))
	for _, c := range []struct {
		since, until time.Time
		want         int
	}{
		{at, time.Time{}, 1},
		{at.Add(1), time.Time{}, 0},
		{at.Add(-1), time.Time{}, 1},
		{at.Add(time.Microsecond), time.Time{}, 0},
		{time.Time{}, at, 0},
		{time.Time{}, at.Add(1), 1},
		{time.Time{}, at.Add(-time.Microsecond), 0},
		{at, at.Add(time.Microsecond), 1},
		{at, at, 0},
		{time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 1},
	} {
		e.equal("from "+c.since.String()+" to "+c.until.String(),
			len(e.audit("acme", store.AuditFilter{Since: c.since, Until: c.until})), c.want)
	}
}

func auditSecrets(e env) {
	e.create("acme")
	picture := []byte(strings.Repeat("PNG", 1000))
	_, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error { w.Portal.Logo = picture; return nil })
	e.ok(err)
	e.createSession(store.KindSession)
	changed := e.detail(store.ActionWorkspaceUpdate)
	if _, ok := changed["portal_logo_sha256"]; !ok || len(changed) != 1 {
		e.Errorf("a new logo is recorded as %v", changed)
	}
	for _, entry := range e.audit("acme", store.AuditFilter{}) {
		if len(entry.Detail) > 500 {
			e.Errorf("%s: %s", entry.Action, entry.Detail)
		}
	}
}

func auditOrder(e env) {
	const n = 50
	for i := range n {
		e.ok(e.Record(e.ctx, store.Entry{Workspace: "acme", At: now, Action: "x", Owner: string(rune('0' + i))}))
	}
	for i, entry := range e.audit("acme", store.AuditFilter{}) {
		e.equal("owner", entry.Owner, string(rune('0'+n-1-i)))
	}
}

// auditCut: a cut deletes archived entries of one workspace that are older than a time, and is itself recorded.
func auditCut(e env) {
	for i := range 5 {
		for _, workspace := range []string{"acme", "other"} {
			at := now.Add(time.Duration(i) * time.Hour)
			e.ok(e.Record(e.ctx, store.Entry{Workspace: workspace, At: at, Action: "x", Owner: string(rune('0' + i))}))
		}
	}
	all := e.audit("acme", store.AuditFilter{}) // the newest first
	later := now.Add(24 * time.Hour)
	cut := func(through store.Entry, before time.Time) int {
		n, err := e.CutAudit(store.By(e.ctx, store.Actor{Kind: store.ActorCLI}), "acme", through.ID, before, later)
		e.ok(err)
		return n
	}
	e.equal("entries before the first", cut(all[0], now), 0)
	e.equal("entries", e.audit("acme", store.AuditFilter{}), all)
	e.equal("entries by time", cut(all[0], now.Add(2*time.Hour)), 2)
	e.equal("entries by id", cut(all[2], later), 1)
	left := e.audit("acme", store.AuditFilter{})
	e.equal("entries that are left", left[2:], all[:2])
	for i, count := range []string{"1", "2"} {
		e.equal("action", left[i].Action, store.ActionAuditCut)
		e.equal("actor", left[i].Actor.Kind, store.ActorCLI)
		if !strings.Contains(string(left[i].Detail), `"count":`+count) {
			e.Errorf("the entry of a cut says %s", left[i].Detail)
		}
	}
	e.equal("another workspace's", len(e.audit("other", store.AuditFilter{})), 5)
}
