package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var importTests = []test{
	{"are stored or refused one by one", importOneByOne},
	{"belong to one workspace and owner", importTaken},
	{"count as keys of their owner", importWithin},
	{"are checked by terms", importTerms},
	{"live as others do", importLife},
	{"are rotated into keys with a JWK", importRotate},
	{"end as others do", importEnd},
	{"are imported once, however many try", importRace},
}

func digestOf(secret string) *jwks.Digest {
	d := jwks.SHA256Digest(secret)
	return &d
}

func toImport(owner, secret string) store.Key {
	k := NewRecord("", owner)
	k.Claims, k.Digest = nil, digestOf(secret)
	return k
}

func (e env) imports(workspace string, keys ...store.Key) []store.ImportResult {
	e.Helper()
	results, err := e.Import(e.ctx, workspace, keys, nil)
	e.ok(err)
	e.equal("results", len(results), len(keys))
	e.consistent(workspace)
	return results
}

// imported imports one key, which must be new.
func (e env) imported(k store.Key) store.Key {
	e.Helper()
	r := e.imports("acme", k)[0]
	if !r.New || r.Err != nil {
		e.Fatalf("not imported: %+v", r)
	}
	e.equal("read", e.key(r.Key), r.Key)
	return r.Key
}

func importOneByOne(e env) {
	e.create("acme")
	e.plan("acme", "gold", rule(1))
	fenced, unplanned, again := toImport("a", "1"), toImport("a", "2"), toImport("a", "1")
	fenced.AllowedIPs, fenced.Plan, fenced.Limits = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, "gold", []jwks.Limit{rule(3)}
	unplanned.Plan = "silver"
	hmac := toImport("b", "")
	*hmac.Digest = jwks.HMACDigest([]byte("pepper"), "1")
	hmac.ExpiresAt, hmac.Scopes = time.Time{}, nil
	got := e.imports("acme", fenced, unplanned, again, hmac)
	for i, want := range []struct {
		isNew, exists bool
		err           error
	}{{true, false, nil}, {false, false, store.ErrNoPlan}, {false, true, nil}, {true, false, nil}} {
		if got[i].New != want.isNew || got[i].Exists != want.exists || !errors.Is(got[i].Err, want.err) {
			e.Errorf("key %d: %+v", i, got[i])
		}
	}
	want := fenced
	want.Workspace, want.KID, want.Version, want.Claims = "acme", jwks.ImportedKID(fenced.ID.String()), 3, []byte(`{}`)
	e.equal("stored", e.key(want), want)
	byDigest, err := e.KeyByDigest(e.ctx, *fenced.Digest)
	e.ok(err)
	e.equal("by digest", byDigest, want)
	f := e.feed("acme")
	e.equal("published", len(f.keys), 1)
	e.equal("the feed", f.imported, map[jwks.KID]jwks.ImportedKey{
		got[0].Key.KID: got[0].Key.Imported(), got[3].Key.KID: got[3].Key.Imported(),
	})
	a := f.imported[got[3].Key.KID].Attributes
	e.equal("complete attributes", fmt.Sprint(a.NeverExpires, a.Scopes != nil, len(a.Scopes)), "true true 0")
	e.equal("entries", len(e.audit("acme", store.AuditFilter{Action: store.ActionKeyImport})), 2)
	e.equal("the set exists again", e.imports("acme", fenced, hmac)[1].Exists, true)
	e.equal("version", e.feed("acme").version, uint64(3))
	_, err = e.Import(e.ctx, "nobody", []store.Key{toImport("a", "9")}, nil)
	e.is(err, store.ErrNotFound)
	_, err = e.Import(e.ctx, "acme", []store.Key{NewRecord("acme", "a")}, nil)
	if err == nil {
		e.Error("a key without a digest was imported")
	}
	_, err = e.KeyByDigest(e.ctx, *digestOf("9"))
	e.is(err, store.ErrNotFound)
	_, err = e.SuspendedJWK(e.ctx, "acme", want.KID)
	e.is(err, store.ErrNotFound)
}

func importTaken(e env) {
	e.create("acme")
	e.create("beta")
	k := e.imported(toImport("a", "1"))
	for workspace, other := range map[string]store.Key{"acme": toImport("b", "1"), "beta": toImport("a", "1")} {
		r := e.imports(workspace, other)[0]
		if !errors.Is(r.Err, store.ErrDigest) || r.Exists || r.Key.ID != uuid.Nil {
			e.Errorf("%s: %+v", workspace, r)
		}
	}
	e.equal("two owners in one call", e.imports("acme", toImport("a", "2"), toImport("b", "2"))[1].Err, store.ErrDigest)
	k = e.revoke(k)
	r := e.imports("acme", toImport("a", "1"))[0]
	e.equal("a revoked key stays revoked", r, store.ImportResult{Key: k, Exists: true})
}

func importWithin(e env) {
	e.create("acme")
	terms := func(*store.Workspace) (func(*store.Key) error, int, error) {
		return func(*store.Key) error { return nil }, 2, nil
	}
	e.issue(NewRecord("acme", "a"))
	got, err := e.Import(e.ctx, "acme", []store.Key{toImport("a", "1"), toImport("a", "2"), toImport("b", "3")}, terms)
	e.ok(err)
	if !got[0].New || !errors.Is(got[1].Err, store.ErrTooMany) || !got[2].New {
		e.Errorf("got %+v", got)
	}
	_, err = e.Issue(e.ctx, NewRecord("acme", "a"), NewKey(e), within(2))
	e.is(err, store.ErrTooMany)
	e.consistent("acme")
}

func importTerms(e env) {
	e.create("acme")
	refused := errors.New("refused")
	terms := func(w *store.Workspace) (func(*store.Key) error, int, error) {
		return func(k *store.Key) error {
			k.Audience = w.Audiences
			if k.Owner == "bad" {
				return refused
			}
			return nil
		}, 0, nil
	}
	k := toImport("good", "2")
	k.Audience = nil
	got, err := e.Import(e.ctx, "acme", []store.Key{toImport("bad", "1"), k}, terms)
	e.ok(err)
	e.equal("refused", got[0], store.ImportResult{Err: refused})
	e.equal("completed", e.key(got[1].Key).Audience, []string{"api"})
	none := func(*store.Workspace) (func(*store.Key) error, int, error) { return nil, 0, refused }
	_, err = e.Import(e.ctx, "acme", []store.Key{toImport("good", "3")}, none)
	e.is(err, refused)
	e.consistent("acme")
}

func importLife(e env) {
	e.create("acme")
	k := e.imported(toImport("a", "1"))
	narrowed := e.update(k, 1, func(k *store.Key) { k.Scopes, k.ExpiresAt = []string{"maps:read"}, time.Time{} })
	e.equal("no signed values", narrowed.Signed, (*store.Signed)(nil))
	e.equal("in the feed", e.feed("acme").imported[k.KID], narrowed.Imported())
	e.update(k, 0, func(k *store.Key) { k.Name = "other" })
	e.suspend(k)
	e.equal("suspended", len(e.feed("acme").imported), 0)
	e.consistent("acme")
	e.update(k, 0, func(k *store.Key) { k.Limits = []jwks.Limit{rule(9)} })
	resumed := e.resume(k)
	e.equal("resumed", e.feed("acme").imported[k.KID], resumed.Imported())
	e.consistent("acme")
	e.suspend(k)
	e.revoke(k)
	last := e.changesOf("acme")
	e.equal("the change", last[len(last)-1], jwks.Change{Version: uint64(len(last)), Add: []jwks.Key{}, Remove: []jwks.KID{}})
	e.consistent("acme")
}

func importRotate(e env) {
	e.create("acme")
	k := e.imported(toImport("a", "1"))
	rotate := func(grace time.Duration) (old, issued store.Key) {
		old, issued, err := e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "a"), NewKey(e), now.Add(grace), nil)
		e.ok(err)
		e.consistent("acme")
		return old, issued
	}
	old, issued := rotate(time.Minute)
	if issued.Digest != nil || old.Digest == nil || issued.KID.IsImported() {
		e.Errorf("%+v and %+v", old, issued)
	}
	e.equal("in its grace", e.feed("acme").imported[k.KID].Attributes.EndsAt, now.Add(time.Minute))
	undone, _, err := e.UndoRotation(e.ctx, "acme", k.ID, issued.ID, now)
	e.ok(err)
	e.consistent("acme")
	e.equal("undone", e.feed("acme").imported[k.KID], undone.Imported())
	rotate(time.Minute)
	_, err = e.EndGrace(e.ctx, "acme", k.ID, uuid.Nil, now)
	e.ok(err)
	e.consistent("acme")
	k = e.imported(toImport("a", "2"))
	rotate(0)
	e.equal("without grace", len(e.feed("acme").imported), 0)
}

func importEnd(e env) {
	e.create("acme")
	k := e.imported(toImport("a", "1"))
	e.revoke(k)
	e.equal("revoked", e.changesOf("acme")[2].Unsigned.Dropped, []jwks.KID{k.KID})
	e.consistent("acme")
	list := []uuid.UUID{e.imported(toImport("a", "2")).ID, e.imported(toImport("a", "3")).ID}
	burned, _ := e.issue(NewRecord("acme", "a"))
	e.suspend(e.imported(toImport("a", "4")))
	retired, err := e.Retire(e.ctx, "acme", append(list, burned.ID), now.Add(time.Hour))
	e.ok(err)
	e.equal("retired", len(retired), 3)
	e.equal("left", len(e.feed("acme").imported), 0)
	e.consistent("acme")
}

func importRace(e env) {
	e.create("acme")
	e.create("beta")
	var results [8]store.ImportResult
	var tasks sync.WaitGroup
	for i := range results {
		tasks.Go(func() {
			got, err := e.Import(e.ctx, []string{"acme", "beta"}[i%2], []store.Key{toImport("a", "1")}, nil)
			if err != nil {
				e.Error(err)
				return
			}
			results[i] = got[0]
		})
	}
	tasks.Wait()
	isNew := 0
	for _, r := range results {
		if r.New {
			isNew++
		}
	}
	e.equal("imports", isNew, 1)
	e.equal("accepted", len(e.feed("acme").imported)+len(e.feed("beta").imported), 1)
	e.consistent("acme")
	e.consistent("beta")
}
