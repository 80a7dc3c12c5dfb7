package storetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

var requestTests = []test{
	{"are stored for a key of the workspace", requestsCreate},
	{"change the key and the set when they are approved", requestsApprove},
	{"leave the key as it is when they are declined or withdrawn", requestsDecline},
	{"are not approved for a key that is no longer active, but can be declined", requestsNotActive},
	{"are declined when their key is revoked or expires", requestsEnded},
	{"are decided once, by the first of two", requestsRace},
	{"are bounded for each owner, key and kind", requestsBounds},
	{"that were decided long ago are deleted", requestsPruned},
	{"come in pages, by status, owner and key", requestsPages},
	{"have each event until it is sent", requestsEvents},
	{"are in the audit", requestsAudit},
	{"are refused if they can't be stored", requestsInvalid},
}

// wish returns a request for a key.
func wish(k store.Key, w store.Wanted) store.Request {
	return store.Request{Workspace: k.Workspace, ID: uuid.Must(uuid.NewV7()), Key: k.ID, Wanted: w, Reason: "für uns", CreatedAt: now}
}

var moreScopes = store.Wanted{Scopes: []string{"maps:admin", "maps:beta"}}

func anything(*store.Workspace, *store.Key) error { return nil }

// request creates a request.
func (e env) request(k store.Key, w store.Wanted) store.Request {
	e.Helper()
	r, err := e.CreateRequest(e.ctx, wish(k, w), anything)
	e.ok(err)
	return r
}

// decide returns a function for DecideRequest that approves, declines or withdraws a request.
func decide(status store.RequestStatus) func(*store.Workspace, *store.Request, *store.Key) error {
	return func(_ *store.Workspace, r *store.Request, k *store.Key) error {
		r.Status, r.Answer, r.DecidedAt = status, "granted", now.Add(time.Minute)
		if status != store.RequestApproved {
			return nil
		}
		k.UpdatedAt = r.DecidedAt
		if r.Plan != "" {
			k.Plan = r.Plan
		}
		k.Scopes = append(k.Scopes, r.Scopes...)
		return nil
	}
}

func requestsCreate(e env) {
	w, _ := e.create("acme")
	e.plan("acme", "pro", rule(10))
	k, _ := e.issue(NewRecord("acme", "o"))
	for _, wanted := range []store.Wanted{{Plan: "pro"}, moreScopes} {
		want := wish(k, wanted)
		got, err := e.CreateRequest(e.ctx, want, func(seen *store.Workspace, of *store.Key) error {
			e.equal("workspace", seen.ID, w.ID)
			e.equal("key", *of, k)
			of.Owner, seen.Name = "x", "x"
			return nil
		})
		e.ok(err)
		want.Owner, want.Status, want.Event = "o", store.RequestOpen, store.RequestCreated
		e.equal("created", got, want)
		read, err := e.Request(e.ctx, "acme", want.ID)
		e.ok(err)
		e.equal("read", read, want)
	}
	refusal := errors.New("refused")
	other, _ := e.issue(NewRecord("acme", "o"))
	_, err := e.CreateRequest(e.ctx, wish(other, moreScopes), func(*store.Workspace, *store.Key) error { return refusal })
	e.is(err, refusal)
	_, err = e.CreateRequest(e.ctx, wish(other, store.Wanted{Plan: "none"}), anything)
	e.is(err, store.ErrNoPlan)
	_, err = e.CreateRequest(e.ctx, wish(NewRecord("acme", "o"), moreScopes), anything)
	e.is(err, store.ErrNotFound)
	e.revoke(other)
	late := wish(other, moreScopes)
	late.CreatedAt = now.Add(time.Hour)
	_, err = e.CreateRequest(e.ctx, late, anything)
	e.is(err, store.ErrNotActive)
	e.equal("requests", len(e.requests("acme", store.RequestFilter{})), 2)
	e.consistent("acme")
}

func (e env) requests(workspace string, f store.RequestFilter) []store.Request {
	e.Helper()
	if f.Limit == 0 {
		f.Limit = 1000
	}
	list, _, err := e.Requests(e.ctx, workspace, f)
	e.ok(err)
	return list
}

func requestsApprove(e env) {
	e.create("acme")
	e.plan("acme", "pro", rule(10))
	k, _ := e.issue(NewRecord("acme", "o"))
	open := []store.Request{e.request(k, store.Wanted{Plan: "pro"}), e.request(k, moreScopes)}
	_, version := e.published("acme")
	ctx := store.By(e.ctx, store.Actor{Kind: store.ActorOperator, ID: "jo", From: "192.0.2.1"})
	for _, want := range open {
		got, changed, err := e.DecideRequest(ctx, "acme", want.ID, decide(store.RequestApproved))
		e.ok(err)
		want.Status, want.DecidedAt, want.Answer = store.RequestApproved, now.Add(time.Minute), "granted"
		want.DecidedBy = store.Actor{Kind: store.ActorOperator, ID: "jo"}
		e.equal("decided", got, want)
		read, err := e.Request(e.ctx, "acme", want.ID)
		e.ok(err)
		e.equal("read", read, want)
		e.equal("the key", e.key(k), changed)
		version++
		_, after := e.published("acme")
		e.equal("version", after, version)
		e.equal("published attributes", e.feed("acme").attributes[k.KID], changed.Attributes())
		_, _, err = e.DecideRequest(ctx, "acme", want.ID, decide(store.RequestDeclined))
		e.is(err, store.ErrDecided)
	}
	k = e.key(k)
	e.equal("plan", k.Plan, "pro")
	e.equal("scopes", k.Scopes, []string{"maps:read", "maps:write", "maps:admin", "maps:beta"})
	// A plan that the key already has changes nothing.
	again := e.request(k, store.Wanted{Plan: "pro"})
	_, same, err := e.DecideRequest(ctx, "acme", again.ID, decide(store.RequestApproved))
	e.ok(err)
	e.equal("the key", same, k)
	_, after := e.published("acme")
	e.equal("version", after, version)
	e.equal("audit", e.audit("acme", store.AuditFilter{})[0].Action, store.ActionRequestApprove)
	gone := e.request(k, store.Wanted{Plan: "pro"})
	_, _, err = e.DecideRequest(ctx, "acme", gone.ID, func(w *store.Workspace, r *store.Request, k *store.Key) error {
		_ = decide(store.RequestApproved)(w, r, k)
		k.Plan = "none"
		return nil
	})
	e.is(err, store.ErrNoPlan)
	e.equal("the key", e.key(k), k)
	e.consistent("acme")
}

func requestsDecline(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	_, version := e.published("acme")
	for _, status := range []store.RequestStatus{store.RequestDeclined, store.RequestWithdrawn} {
		r := e.request(k, moreScopes)
		got, _, err := e.DecideRequest(e.ctx, "acme", r.ID, func(w *store.Workspace, r *store.Request, k *store.Key) error {
			k.Plan, k.Scopes, k.Name, w.Name = "x", nil, "x", "x"
			return decide(status)(w, r, k)
		})
		e.ok(err)
		e.equal("status", got.Status, status)
		e.equal("the key", e.key(k), k)
	}
	refusal := errors.New("refused")
	r := e.request(k, moreScopes)
	for _, decide := range []func(*store.Workspace, *store.Request, *store.Key) error{
		func(_ *store.Workspace, r *store.Request, _ *store.Key) error {
			r.Status = store.RequestDeclined
			return refusal
		},
		decide(store.RequestOpen), decide("x"),
		func(_ *store.Workspace, r *store.Request, _ *store.Key) error {
			r.Status = store.RequestDeclined
			return nil
		},
	} {
		if _, _, err := e.DecideRequest(e.ctx, "acme", r.ID, decide); err == nil {
			e.Error("an invalid decision passes")
		}
	}
	read, err := e.Request(e.ctx, "acme", r.ID)
	e.ok(err)
	e.equal("the request", read, r)
	_, after := e.published("acme")
	e.equal("version", after, version)
}

func requestsNotActive(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	r := e.request(k, moreScopes)
	e.suspend(k) // which is no obstacle
	_, _, err := e.DecideRequest(e.ctx, "acme", r.ID, decide(store.RequestApproved))
	e.ok(err)
	e.equal("scopes", len(e.key(k).Scopes), 4)
	k, _ = e.issue(NewRecord("acme", "o"))
	r = e.request(k, moreScopes)
	_, _, err = e.DecideRequest(e.ctx, "acme", r.ID, func(w *store.Workspace, r *store.Request, of *store.Key) error {
		_ = decide(store.RequestApproved)(w, r, of)
		r.DecidedAt = k.ExpiresAt
		return nil
	})
	e.is(err, store.ErrNotActive)
	got, _, err := e.DecideRequest(e.ctx, "acme", r.ID, decide(store.RequestDeclined))
	e.ok(err)
	e.equal("status", got.Status, store.RequestDeclined)
	e.consistent("acme")
}

// requestsEnded removes keys in each way.
func requestsEnded(e env) {
	e.create("acme")
	e.plan("acme", "pro", rule(10))
	at := now.Add(time.Minute)
	expiresAt := NewRecord("acme", "o").ExpiresAt
	one := func(k store.Key) []uuid.UUID { return []uuid.UUID{k.ID} }
	for name, c := range map[string]struct {
		end    func(store.Key) error
		answer string
	}{
		"revoke": {func(k store.Key) error { _, err := e.Revoke(e.ctx, "acme", k.ID, at); return err }, "The key was revoked."},
		"expire": {func(k store.Key) error { _, err := e.Retire(e.ctx, "acme", one(k), expiresAt); return err }, "The key has expired."},
		"rotate without grace": {func(k store.Key) error {
			_, _, err := e.Rotate(e.ctx, "acme", k.ID, successor(k), NewKey(e), time.Time{}, nil)
			return err
		}, "The key was revoked."},
	} {
		k, _ := e.issue(NewRecord("acme", "o"))
		other, _ := e.issue(NewRecord("acme", "o"))
		kept := e.request(other, moreScopes)
		open := []store.Request{e.request(k, store.Wanted{Plan: "pro"}), e.request(k, moreScopes)}
		e.ok(e.RequestSent(e.ctx, "acme", open[0].ID, store.RequestCreated))
		e.ok(c.end(k))
		for i, r := range open {
			got, err := e.Request(e.ctx, "acme", r.ID)
			e.ok(err)
			if got.DecidedAt.Before(at.Add(-time.Minute)) {
				e.Errorf("%s: decided at %s", name, got.DecidedAt)
			}
			r.Status, r.DecidedAt, r.DecidedBy, r.Answer = store.RequestDeclined, got.DecidedAt, store.Actor{Kind: store.ActorSystem}, c.answer
			r.Event = []string{store.RequestDecided, store.RequestCreated}[i]
			e.equal(name, got, r)
			_, _, err = e.DecideRequest(e.ctx, "acme", r.ID, decide(store.RequestApproved))
			e.is(err, store.ErrDecided)
		}
		e.equal(name+": open", e.requests("acme", store.RequestFilter{Status: store.RequestOpen, Key: other.ID}), []store.Request{kept})
		e.equal(name+": open for the key", len(e.requests("acme", store.RequestFilter{Status: store.RequestOpen, Key: k.ID})), 0)
		want := map[string]bool{
			`{"answer":"` + c.answer + `","plan":"pro","request":"` + open[0].ID.String() + `"}`:                        true,
			`{"answer":"` + c.answer + `","scopes":["maps:admin","maps:beta"],"request":"` + open[1].ID.String() + `"}`: true,
		}
		for _, entry := range e.audit("acme", store.AuditFilter{Key: k.ID})[:2] { // after that of the key
			if !want[string(entry.Detail)] || entry.Action != store.ActionRequestDecline || entry.Actor.Kind != store.ActorSystem ||
				entry.Owner != "o" || entry.Result != store.ResultOK || entry.ID.Version() != 7 {
				e.Errorf("%s: recorded %+v %s", name, entry, entry.Detail)
			}
			delete(want, string(entry.Detail))
		}
	}
	e.consistent("acme")
}

func requestsRace(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	for range 10 {
		r := e.request(k, moreScopes)
		errs := make([]error, 3)
		e.parallel(len(errs), func(i int) {
			status := []store.RequestStatus{store.RequestApproved, store.RequestDeclined, store.RequestWithdrawn}[i]
			_, _, errs[i] = e.DecideRequest(context.WithoutCancel(e.ctx), "acme", r.ID, decide(status))
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				e.is(err, store.ErrDecided)
			}
		}
		e.equal("decisions", won, 1)
	}
	e.consistent("acme")
}

func requestsBounds(e env) {
	e.create("acme")
	e.plan("acme", "pro", rule(10))
	k, _ := e.issue(NewRecord("acme", "o"))
	e.request(k, moreScopes)
	_, err := e.CreateRequest(e.ctx, wish(k, store.Wanted{Scopes: []string{"x"}}), anything)
	e.is(err, store.ErrExists)
	first := e.request(k, store.Wanted{Plan: "pro"})
	for range store.MaxOpenOfOwner - 2 {
		other, _ := e.issue(NewRecord("acme", "o"))
		e.request(other, moreScopes)
	}
	last, _ := e.issue(NewRecord("acme", "o"))
	_, err = e.CreateRequest(e.ctx, wish(last, moreScopes), anything)
	e.is(err, store.ErrTooMany)
	another, _ := e.issue(NewRecord("acme", "p"))
	e.request(another, moreScopes)
	_, _, err = e.DecideRequest(e.ctx, "acme", first.ID, decide(store.RequestWithdrawn))
	e.ok(err)
	e.request(last, moreScopes)
	e.equal("open", len(e.requests("acme", store.RequestFilter{Owner: "o", Status: store.RequestOpen})), store.MaxOpenOfOwner)
}

func requestsPruned(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	var all []uuid.UUID
	for range store.MaxDecidedOfOwner + 2 {
		r := e.request(k, moreScopes)
		_, _, err := e.DecideRequest(e.ctx, "acme", r.ID, decide(store.RequestWithdrawn))
		e.ok(err)
		all = append(all, r.ID)
	}
	all = append(all, e.request(k, moreScopes).ID)
	var left []uuid.UUID
	for _, r := range e.requests("acme", store.RequestFilter{}) {
		left = append(left, r.ID)
	}
	slices.Reverse(left)
	e.equal("requests that are left", left, all[2:])
}

func requestsPages(e env) {
	e.create("acme")
	e.create("other")
	e.plan("acme", "pro", rule(10))
	keys := map[string]store.Key{}
	var all []store.Request
	for _, owner := range []string{"a", "b", "c"} {
		k, _ := e.issue(NewRecord("acme", owner))
		keys[owner] = k
		all = append(all, e.request(k, moreScopes), e.request(k, store.Wanted{Plan: "pro"}))
	}
	var err error
	all[2], _, err = e.DecideRequest(e.ctx, "acme", all[2].ID, decide(store.RequestApproved))
	e.ok(err)
	slices.Reverse(all)
	for name, f := range map[string]store.RequestFilter{
		"all": {}, "open": {Status: store.RequestOpen}, "approved": {Status: store.RequestApproved}, "of b": {Owner: "b"},
		"open of b": {Owner: "b", Status: store.RequestOpen}, "for c": {Key: keys["c"].ID}, "for c of b": {Key: keys["c"].ID, Owner: "b"},
	} {
		var want []store.Request
		for _, r := range all {
			if (f.Status == "" || r.Status == f.Status) && (f.Owner == "" || r.Owner == f.Owner) && (f.Key == uuid.Nil || r.Key == f.Key) {
				want = append(want, r)
			}
		}
		for f.Limit = 1; f.Limit <= 7; f.Limit++ {
			for _, f.Bytes = range []int{0, 1} {
				var got []store.Request
				for f.After = uuid.Nil; ; {
					list, next, err := e.Requests(e.ctx, "acme", f)
					e.ok(err)
					got = append(got, list...)
					if f.After = next; next == uuid.Nil {
						break
					}
				}
				e.equal(name, got, want)
			}
		}
	}
	for _, workspace := range []string{"other", "nobody", "\xff"} {
		e.equal("the list of "+workspace, e.requests(workspace, store.RequestFilter{}), []store.Request{})
	}
	e.equal("of \\xff", e.requests("acme", store.RequestFilter{Owner: "\xff"}), []store.Request{})
	if _, _, err := e.Requests(e.ctx, "acme", store.RequestFilter{}); err == nil {
		e.Error("a limit of 0 passes")
	}
}

func requestsEvents(e env) {
	unsent := func(want ...string) {
		e.Helper()
		got := []string{}
		workspace, id := "", uuid.Nil
		for {
			list, err := e.UnsentRequests(e.ctx, workspace, id, 1)
			e.ok(err)
			if len(list) == 0 {
				break
			}
			workspace, id = list[0].Workspace, list[0].ID
			got = append(got, workspace+" "+list[0].Event)
		}
		e.equal("unsent", got, append([]string{}, want...))
	}
	var requests []store.Request
	for _, workspace := range []string{"acme", "other"} {
		e.create(workspace)
		k, _ := e.issue(NewRecord(workspace, "o"))
		requests = append(requests, e.request(k, moreScopes))
	}
	unsent("acme created", "other created")
	r := requests[0]
	e.ok(e.RequestSent(e.ctx, "acme", r.ID, store.RequestDecided)) // too early
	unsent("acme created", "other created")
	e.ok(e.RequestSent(e.ctx, "acme", r.ID, store.RequestCreated))
	unsent("other created")
	_, _, err := e.DecideRequest(e.ctx, "acme", r.ID, decide(store.RequestApproved))
	e.ok(err)
	_, _, err = e.DecideRequest(e.ctx, "other", requests[1].ID, decide(store.RequestDeclined))
	e.ok(err)
	unsent("acme decided", "other created") // in their order
	e.ok(e.RequestSent(e.ctx, "other", requests[1].ID, store.RequestCreated))
	e.ok(e.RequestSent(e.ctx, "other", requests[1].ID, store.RequestCreated)) // by another server
	unsent("acme decided", "other decided")
	for _, r := range requests {
		e.ok(e.RequestSent(e.ctx, r.Workspace, r.ID, store.RequestDecided))
	}
	unsent()
	e.is(e.RequestSent(e.ctx, "nobody", r.ID, store.RequestDecided), store.ErrNotFound)
}

func requestsAudit(e env) {
	e.create("acme")
	e.plan("acme", "pro", rule(10))
	k, _ := e.issue(NewRecord("acme", "o"))
	var requests []store.Request
	for _, status := range []store.RequestStatus{store.RequestApproved, store.RequestDeclined, store.RequestWithdrawn} {
		r := e.request(k, store.Wanted{Plan: "pro"})
		_, _, err := e.DecideRequest(e.ctx, "acme", r.ID, decide(status))
		e.ok(err)
		requests = append(requests, r)
	}
	about := func(i int, more string) string {
		return `{` + more + `"plan":"pro","request":"` + requests[i].ID.String() + `"}`
	}
	made := func(i int) string {
		return `{"plan":"pro","reason":"für uns","request":"` + requests[i].ID.String() + `"}`
	}
	answer := `"answer":"granted",`
	want := []struct{ action, detail string }{
		{store.ActionRequestWithdraw, about(2, answer)},
		{store.ActionRequestDecline, about(1, answer)},
		{store.ActionRequestApprove, about(0, answer)},
		{store.ActionKeyUpdate, `{"plan":{"before":null,"after":"pro"}}`},
		{store.ActionRequestCreate, made(2)},
		{store.ActionRequestCreate, made(1)},
		{store.ActionRequestCreate, made(0)},
		{store.ActionKeyIssue, ""},
	}
	got := e.audit("acme", store.AuditFilter{Key: k.ID, Owner: "o"})
	e.equal("entries", len(got), len(want))
	for i, w := range want {
		e.equal("action", got[i].Action, w.action)
		if w.detail != "" {
			e.equal("detail", string(got[i].Detail), w.detail)
		}
	}
}

func requestsInvalid(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	for name, change := range map[string]func(*store.Request){
		"nothing":            func(r *store.Request) { r.Scopes = nil },
		"both":               func(r *store.Request) { r.Plan = "pro" },
		"no UTF-8":           func(r *store.Request) { r.Reason = "\xff" },
		"NUL":                func(r *store.Request) { r.Scopes = []string{"\x00"} },
		"no time":            func(r *store.Request) { r.CreatedAt = time.Time{} },
		"no UTF-8 in a plan": func(r *store.Request) { r.Plan, r.Scopes = "\xff", nil },
	} {
		r := wish(k, moreScopes)
		change(&r)
		if _, err := e.CreateRequest(e.ctx, r, anything); err == nil {
			e.Errorf("%s: stored", name)
		}
	}
	r := e.request(k, moreScopes)
	_, _, err := e.DecideRequest(e.ctx, "acme", r.ID, func(w *store.Workspace, r *store.Request, k *store.Key) error {
		_ = decide(store.RequestDeclined)(w, r, k)
		r.Answer = "\x00"
		return nil
	})
	if err == nil {
		e.Error("NUL in an answer is stored")
	}
}
