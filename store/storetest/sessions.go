package storetest

import (
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

var sessionTests = []test{
	{"come back as they were created", sessionRoundTrip},
	{"are found until they expire", sessionExpires},
	{"are created once, in a workspace that exists", sessionRefused},
	{"are exchanged for a link, once", sessionExchange},
	{"are exchanged by one of many", sessionExchangeRace},
	{"end", sessionEnd},
	{"end together, by owner or all", sessionEndMany},
	{"are pruned when they have expired", sessionPrune},
	{"by a login are begun once", loginSpend},
}

// makerID is the id of the key that withMaker issues.
var makerID = uuid.Must(uuid.NewV7())

// withMaker issues the key that the links name as MadeBy.
func (e env) withMaker() {
	e.Helper()
	e.create(store.Home)
	k := NewRecord(store.Home, "operator")
	k.ID = makerID
	e.issue(k)
}

// newSession returns a session of acme that expires in an hour.
func newSession(kind string) store.Session {
	s := store.Session{
		Kind: kind, Workspace: "acme", Owner: "cust_1", Role: store.RoleOwner, Subject: "jo@example.com",
		ScopesAllowed: []string{"maps:read"}, ReturnURL: "https://example.com/?a=b", MadeBy: makerID,
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	_, _ = rand.Read(s.Hash[:]) // never fails
	return s
}

func (e env) createSession(kind string) store.Session {
	e.Helper()
	s := newSession(kind)
	e.ok(e.CreateSession(e.ctx, s))
	return s
}

func (e env) session(s store.Session) store.Session {
	e.Helper()
	got, err := e.Session(e.ctx, s.Hash, now)
	e.ok(err)
	return got
}

func sessionRoundTrip(e env) {
	e.create("acme")
	for _, scopes := range [][]string{nil, {}, {"a", "b", "a"}} {
		for _, kind := range []string{store.KindLink, store.KindSession} {
			given := newSession(kind)
			given.ScopesAllowed, given.Embedded = scopes, kind == store.KindSession
			given.Login = given.Embedded
			if given.Login {
				given.MadeBy = uuid.Nil
			}
			given.CreatedAt = now.Add(999).In(time.FixedZone("", 60))
			e.ok(e.CreateSession(e.ctx, given))
			want := given
			want.CreatedAt = now
			e.equal("session", e.session(given), want)
		}
	}
	operator := newSession(store.KindSession)
	operator.Owner, operator.Role, operator.ReturnURL = "", store.RoleOperator, ""
	e.ok(e.CreateSession(e.ctx, operator))
	e.equal("operator", e.session(operator), operator)
}

func sessionExpires(e env) {
	e.create("acme")
	s := e.createSession(store.KindSession)
	for at, want := range map[time.Time]error{
		s.ExpiresAt.Add(-1): nil, s.ExpiresAt: store.ErrNotFound, s.ExpiresAt.Add(time.Hour): store.ErrNotFound,
	} {
		if _, err := e.Session(e.ctx, s.Hash, at); !errors.Is(err, want) {
			e.Errorf("at %v: got %v, want %v", at, err, want)
		}
	}
	_, err := e.Session(e.ctx, [32]byte{}, now)
	e.is(err, store.ErrNotFound)
	old := newSession(store.KindLink)
	old.ExpiresAt = now.Add(-time.Hour)
	e.ok(e.CreateSession(e.ctx, old))
	for _, want := range []store.Session{s, old} {
		got, err := e.StoredSession(e.ctx, want.Hash)
		e.ok(err)
		e.equal("stored", got, want)
	}
	_, err = e.StoredSession(e.ctx, [32]byte{})
	e.is(err, store.ErrNotFound)
}

func sessionRefused(e env) {
	e.create("acme")
	s := e.createSession(store.KindSession)
	again := newSession(store.KindLink)
	again.Hash = s.Hash
	e.is(e.CreateSession(e.ctx, again), store.ErrExists)
	e.equal("the first", e.session(s), s)
	nowhere := newSession(store.KindLink)
	nowhere.Workspace = "nobody"
	e.is(e.CreateSession(e.ctx, nowhere), store.ErrNotFound)
	for _, broken := range []func(*store.Session){
		func(s *store.Session) { s.ExpiresAt = time.Time{} },
		func(s *store.Session) { s.Kind = "cookie" },
		func(s *store.Session) { s.Role = "admin" },
	} {
		s := newSession(store.KindLink)
		broken(&s)
		if err := e.CreateSession(e.ctx, s); err == nil {
			e.Errorf("%+v passes", s)
		}
	}
	e.equal("entries", len(e.audit("acme", store.AuditFilter{Action: store.ActionSessionCreate})), 0)
	e.equal("entries", len(e.audit("acme", store.AuditFilter{Action: store.ActionSessionStart})), 1)
}

func sessionExchange(e env) {
	e.withMaker()
	e.create("acme")
	e.create("other")
	link := e.createSession(store.KindLink)
	given := store.Session{
		Hash: newSession("").Hash, Kind: store.KindLink, Workspace: "other", Owner: "eve", Role: store.RoleOperator, Subject: "eve",
		MadeBy: uuid.Must(uuid.NewV7()), ReturnURL: "x", Embedded: true, Login: true,
		CreatedAt: now.Add(time.Minute), ExpiresAt: now.Add(time.Minute + 999),
	}
	exchange := func(hash [32]byte, at time.Time) (store.Session, error) {
		return e.ExchangeSession(e.ctx, hash, given, at)
	}
	_, err := exchange(link.Hash, link.ExpiresAt)
	e.is(err, store.ErrNotFound)
	taken := given
	given.Hash = e.createSession(store.KindSession).Hash
	_, err = exchange(link.Hash, now)
	e.is(err, store.ErrExists)
	e.equal("the link", e.session(link), link)
	given = taken
	got, err := exchange(link.Hash, link.ExpiresAt.Add(-1))
	e.ok(err)
	want := link
	want.Hash, want.Kind, want.Embedded = given.Hash, store.KindSession, true
	want.CreatedAt, want.ExpiresAt = given.CreatedAt, now.Add(time.Minute)
	e.equal("session", got, want)
	e.equal("read", e.session(got), want)
	for _, hash := range [][32]byte{link.Hash, got.Hash, {}} {
		given.Hash = newSession("").Hash
		_, err := exchange(hash, now)
		e.is(err, store.ErrNotFound)
		_, err = e.Session(e.ctx, given.Hash, now)
		e.is(err, store.ErrNotFound)
	}
}

func sessionExchangeRace(e env) {
	e.withMaker()
	e.create("acme")
	for range 5 {
		link := e.createSession(store.KindLink)
		var won atomic.Int32
		e.parallel(6, func(int) {
			switch _, err := e.ExchangeSession(e.ctx, link.Hash, newSession(""), now); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrNotFound):
				e.Error(err)
			}
		})
		e.equal("winners", won.Load(), int32(1))
	}
	e.equal("entries", len(e.audit("acme", store.AuditFilter{Action: store.ActionSessionStart})), 5)
}

func sessionEnd(e env) {
	e.create("acme")
	for _, kind := range []string{store.KindLink, store.KindSession} {
		s, other := e.createSession(kind), e.createSession(kind)
		e.is(e.EndSession(e.ctx, s.Hash, s.ExpiresAt), store.ErrNotFound)
		e.ok(e.EndSession(e.ctx, s.Hash, now))
		_, err := e.Session(e.ctx, s.Hash, now)
		e.is(err, store.ErrNotFound)
		e.is(e.EndSession(e.ctx, s.Hash, now), store.ErrNotFound)
		e.equal("the other", e.session(other), other)
	}
	e.equal("entries", len(e.audit("acme", store.AuditFilter{Action: store.ActionSessionEnd})), 2)
}

func sessionEndMany(e env) {
	e.create("acme")
	e.create("other")
	add := func(workspace, owner, role, kind string) store.Session {
		s := newSession(kind)
		s.Workspace, s.Owner, s.Role = workspace, owner, role
		e.ok(e.CreateSession(e.ctx, s))
		return s
	}
	mine := []store.Session{add("acme", "cust_1", store.RoleOwner, store.KindLink), add("acme", "cust_1", store.RoleOwner, store.KindSession)}
	others := []store.Session{add("acme", "cust_10", store.RoleOwner, store.KindSession), add("acme", "", store.RoleOperator, store.KindLink)}
	elsewhere := add("other", "cust_1", store.RoleOwner, store.KindSession)
	over := newSession(store.KindLink)
	over.ExpiresAt = now.Add(time.Second)
	e.ok(e.CreateSession(e.ctx, over))
	end := func(workspace, owner string, want int) {
		e.Helper()
		n, err := e.EndSessions(e.ctx, workspace, owner, over.ExpiresAt)
		e.ok(err)
		e.equal("ended", n, want)
	}
	gone := func(sessions ...store.Session) {
		e.Helper()
		for _, s := range sessions {
			_, err := e.Session(e.ctx, s.Hash, now)
			e.is(err, store.ErrNotFound)
		}
	}
	end("acme", "nobody", 0)
	end("acme", "cust_1", 2)
	gone(mine...)
	for _, s := range others {
		e.equal("another's", e.session(s), s)
	}
	end("acme", "cust_1", 0)
	end("acme", "", 2)
	gone(others...)
	e.equal("another workspace's", e.session(elsewhere), elsewhere)
	e.equal("what was over", e.session(over), over)
	_, err := e.EndSessions(e.ctx, "nobody", "", now)
	e.is(err, store.ErrNotFound)
	entries := e.audit("acme", store.AuditFilter{Action: store.ActionSessionEnd})
	e.equal("entries", len(entries), 2)
	for i, owner := range []string{"", "cust_1"} {
		e.equal("owner", entries[i].Owner, owner)
		e.equal("detail", string(entries[i].Detail), `{"count":2}`)
		e.equal("at", entries[i].At, over.ExpiresAt)
	}
}

func sessionPrune(e env) {
	e.create("acme")
	var all []store.Session
	for i := range 5 {
		s := newSession(store.KindSession)
		s.ExpiresAt = now.Add(time.Duration(i) * time.Second)
		e.ok(e.CreateSession(e.ctx, s))
		all = append(all, s)
	}
	entries := e.audit("acme", store.AuditFilter{})
	for _, before := range []time.Time{{}, now.Add(2 * time.Second), now.Add(time.Second)} {
		e.ok(e.PruneSessions(e.ctx, before))
	}
	for i, s := range all {
		want := store.ErrNotFound
		if i >= 2 {
			want = nil
		}
		if _, err := e.StoredSession(e.ctx, s.Hash); !errors.Is(err, want) {
			e.Errorf("session %d: got %v, want %v", i, err, want)
		}
	}
	e.equal("audit", e.audit("acme", store.AuditFilter{}), entries)
}

// loginSpend: if a login is used several times at once, also on two servers, exactly one use succeeds.
func loginSpend(e env) {
	e.create("acme")
	entries := e.audit("acme", store.AuditFilter{})
	first, second := newSession(store.KindSession).Hash, newSession(store.KindSession).Hash
	var spent atomic.Int64
	e.parallel(8, func(int) {
		switch err := e.SpendLogin(e.ctx, "acme", first, now.Add(time.Minute)); {
		case err == nil:
			spent.Add(1)
		case !errors.Is(err, store.ErrExists):
			e.Errorf("spend: %v", err)
		}
	})
	e.equal("spent", spent.Load(), int64(1))
	e.ok(e.SpendLogin(e.ctx, "other", second, now.Add(time.Hour)))
	e.ok(e.PruneSessions(e.ctx, now.Add(time.Minute+time.Second)))
	e.ok(e.SpendLogin(e.ctx, "acme", first, now.Add(time.Hour))) // the login was forgotten
	e.is(e.SpendLogin(e.ctx, "acme", second, now.Add(time.Hour)), store.ErrExists)
	if err := e.SpendLogin(e.ctx, "acme", newSession(store.KindSession).Hash, time.Time{}); err == nil {
		e.Error("a login is spent for ever")
	}
	e.equal("audit", e.audit("acme", store.AuditFilter{}), entries)
}
