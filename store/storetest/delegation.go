package storetest

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// adopter stores a key, under which the test then issues others.
type adopter func(env, store.Key) store.Key

func issuedParent(e env, k store.Key) store.Key {
	e.Helper()
	k, _ = e.issue(k)
	return k
}

func importedParent(e env, k store.Key) store.Key {
	e.Helper()
	k.Claims, k.Digest = nil, digestOf(k.ID.String())
	return e.imported(k)
}

var childTests = []test{
	{"are at most 100", childrenBounded},
	{"are not rotated", childNotRotated},
}

func delegationTests(adopt adopter) []test {
	with := func(run func(env, adopter)) func(env) { return func(e env) { run(e, adopt) } }
	return []test{
		{"can do no more than it", with(childNarrower)},
		{"are revoked with it", with(childrenRevoked)},
		{"are suspended and resumed with it, besides their own suspension", with(childrenSuspended)},
		{"are narrowed with it, and not widened", with(childrenNarrowed)},
		{"are under its successor after a rotation", with(childrenRotated)},
		{"can never do what it can't", with(childrenProgram)},
		{"are not left over by a race with its revocation or rotation", with(childrenRace)},
	}
}

// child returns a record for a key under another.
func child(parent store.Key) store.Key {
	k := NewRecord(parent.Workspace, parent.Owner)
	k.Scopes, k.Parent, k.ExpiresAt = []string{"maps:read"}, parent.ID, now.Add(time.Minute)
	return k
}

func (e env) children(parent store.Key) []store.Key {
	e.Helper()
	return e.list(parent.Workspace, store.Filter{Parent: parent.ID})
}

func childNarrower(e env, adopt adopter) {
	e.create("acme")
	e.plan("acme", "gold", rule(1))
	r := NewRecord("acme", "o")
	r.AllowedIPs = someNetworks
	parent := adopt(e, r)
	for name, c := range map[string]struct {
		want   error
		change func(k *store.Key)
	}{
		"another owner's": {store.ErrNoParent, func(k *store.Key) { k.Owner = "p" }},
		"no parent":       {store.ErrNoParent, func(k *store.Key) { k.Parent = uuid.Must(uuid.NewV7()) }},
		"a scope":         {store.ErrBeyondParent, func(k *store.Key) { k.Scopes = []string{"other"} }},
		"an audience":     {store.ErrBeyondParent, func(k *store.Key) { k.Audience = []string{"other"} }},
		"longer":          {store.ErrBeyondParent, func(k *store.Key) { k.ExpiresAt = parent.ExpiresAt.Add(time.Microsecond) }},
		"forever":         {store.ErrBeyondParent, func(k *store.Key) { k.ExpiresAt = time.Time{} }},
		"any network":     {store.ErrBeyondParent, func(k *store.Key) { k.AllowedIPs = nil }},
		"a plan":          {store.ErrBeyondParent, func(k *store.Key) { k.Plan = "gold" }},
	} {
		k := child(parent)
		k.AllowedIPs = someNetworks[:1]
		c.change(&k)
		if _, err := e.Issue(e.ctx, k, NewKey(e), nil); !errors.Is(err, c.want) {
			e.Errorf("%s: %v", name, err)
		}
	}
	k := child(parent)
	k.AllowedIPs = someNetworks[:1]
	issued, _ := e.issue(k)
	e.equal("parent", issued.Parent, parent.ID)
	e.equal("read", e.key(issued), issued)
	e.equal("list", e.children(parent), []store.Key{issued})
	e.equal("the parent delegates", e.key(parent).Delegates, true)
	under := child(issued)
	under.AllowedIPs = issued.AllowedIPs
	_, err := e.Issue(e.ctx, under, NewKey(e), within(10))
	e.is(err, store.ErrNoParent)
	for _, change := range []func(k *store.Key){
		func(k *store.Key) { k.Scopes = []string{"other"} },
		func(k *store.Key) { k.ExpiresAt = time.Time{} },
		func(k *store.Key) { k.AllowedIPs = nil },
		func(k *store.Key) { k.Plan = "gold" },
	} {
		_, err := e.UpdateKey(e.ctx, "acme", issued.ID, func(_ *store.Workspace, k *store.Key) error { change(k); return nil })
		e.is(err, store.ErrBeyondParent)
	}
	e.consistent("acme")
}

func childrenBounded(e env) {
	e.create("acme")
	parent, _ := e.issue(NewRecord("acme", "o"))
	var last store.Key
	for range store.MaxChildren {
		last, _ = e.issue(child(parent))
	}
	_, err := e.Issue(e.ctx, child(parent), NewKey(e), nil)
	e.is(err, store.ErrManyChildren)
	e.revoke(last)
	e.issue(child(parent))
}

func childrenRevoked(e env, adopt adopter) {
	e.create("acme")
	parent := adopt(e, NewRecord("acme", "o"))
	a, _ := e.issue(child(parent))
	b, _ := e.issue(child(parent))
	other, _ := e.issue(NewRecord("acme", "o"))
	e.suspend(b)
	revoked := e.revoke(parent)
	w, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("version", revoked.RevokedVersion, w.Version) // a server at this version has removed the children, too
	for _, k := range []store.Key{a, b} {
		got := e.key(k)
		e.equal("revoked at", got.RevokedAt, revoked.RevokedAt)
		entries := e.audit("acme", store.AuditFilter{Key: k.ID, Action: store.ActionKeyRevoke})
		e.equal("entries", len(entries), 1)
		if !strings.Contains(string(entries[0].Detail), `"parent":"`+parent.ID.String()) {
			e.Errorf("detail %s", entries[0].Detail)
		}
	}
	e.equal("the other", e.key(other), other)
	_, err = e.Issue(e.ctx, child(parent), NewKey(e), nil)
	e.is(err, store.ErrNoParent)
	e.consistent("acme")
}

func childrenSuspended(e env, adopt adopter) {
	e.create("acme")
	parent := adopt(e, NewRecord("acme", "o"))
	a, _ := e.issue(child(parent))
	b, _ := e.issue(child(parent))
	e.suspend(b)
	e.update(parent, 2, func(k *store.Key) { k.SuspendedAt = now })
	e.equal("a", e.key(a).SuspendedBy, store.ByParent)
	e.equal("b", e.key(b).SuspendedBy, "")
	resumed := e.update(b, 0, func(k *store.Key) { k.SuspendedAt = time.Time{} })
	e.equal("b, resumed", resumed.SuspendedBy, store.ByParent)
	e.update(a, 0, func(k *store.Key) { k.SuspendedBy = store.ByOwner })
	_, err := e.Issue(e.ctx, child(parent), NewKey(e), nil)
	e.is(err, store.ErrNoParent)
	e.update(parent, 2, func(k *store.Key) { k.SuspendedAt = time.Time{} })
	e.equal("a", e.key(a).SuspendedBy, store.ByOwner)
	e.equal("b", e.key(b).SuspendedAt, time.Time{})
	e.consistent("acme")
}

func childrenNarrowed(e env, adopt adopter) {
	e.create("acme")
	parent := adopt(e, NewRecord("acme", "o"))
	r := child(parent)
	r.Scopes, r.AllowedIPs = parent.Scopes, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}
	a, _ := e.issue(r)
	narrow, soon := netip.MustParsePrefix("10.1.0.0/16"), now.Add(time.Second)
	e.update(parent, 2, func(k *store.Key) {
		k.Scopes, k.ExpiresAt, k.AllowedIPs = []string{"maps:read"}, soon, []netip.Prefix{narrow}
	})
	got := e.key(a)
	e.equal("scopes", got.Scopes, []string{"maps:read"})
	e.equal("expiry", got.ExpiresAt, soon)
	e.equal("networks", got.AllowedIPs, []netip.Prefix{narrow})
	e.equal("published", e.feed("acme").attributes[a.KID], got.Attributes())
	e.update(parent, 1, func(k *store.Key) { k.Scopes, k.ExpiresAt, k.AllowedIPs = parent.Scopes, parent.ExpiresAt, nil })
	e.equal("after widening", e.key(a), got)
	e.update(parent, 2, func(k *store.Key) { k.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
	attributes := e.key(a)
	if in := attributes.Attributes(); in.Allows(netip.MustParseAddr("10.1.0.1")) || in.Allows(netip.MustParseAddr("203.0.113.1")) {
		e.Error("networks that the parent and the child don't share are allowed")
	}
	e.consistent("acme")
}

func childrenRotated(e env, adopt adopter) {
	e.create("acme")
	parent := adopt(e, NewRecord("acme", "o"))
	a, _ := e.issue(child(parent))
	old, next := e.rotate(parent)
	e.equal("of the successor", ids(e.children(next)), []uuid.UUID{a.ID})
	e.equal("of the old key", len(e.children(old)), 0)
	b, _ := e.issue(child(next))
	undone, _, err := e.UndoRotation(e.ctx, "acme", parent.ID, uuid.Nil, now.Add(2*time.Second))
	e.ok(err)
	e.equal("the old key", e.key(undone), undone)
	e.equal("given back", ids(e.children(undone)), ids(newestFirst([]store.Key{a, b})))
	_, next = e.rotate(undone)
	_, err = e.EndGrace(e.ctx, "acme", parent.ID, uuid.Nil, now.Add(2*time.Second))
	e.ok(err)
	e.equal("after the grace", e.key(a).RevokedAt, time.Time{})
	r := successor(next)
	r.Scopes = []string{"maps:write"}
	_, last, err := e.Rotate(e.ctx, "acme", next.ID, r, NewKey(e), r.CreatedAt, nil) // without a grace
	e.ok(err)
	e.equal("under a narrower key", e.key(a).Scopes, []string{})
	e.equal("marked", e.key(last), last)
	e.revoke(last)
	e.equal("of the last", e.key(b).RevokedAt, now.Add(time.Minute))
	e.consistent("acme")
}

func childNotRotated(e env) {
	e.create("acme")
	parent, _ := e.issue(NewRecord("acme", "o"))
	a, _ := e.issue(child(parent))
	e.rotateRefused(a.ID, successor(a), NewKey(e), store.ErrChild)
}

// childrenProgram makes random changes and checks all children after each.
func childrenProgram(e env, adopt adopter) {
	seed := rand.Uint64()
	e.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	e.create("acme")
	var all []store.Key
	at := now
	for range 120 {
		at = at.Add(time.Millisecond)
		if len(all) == 0 || random.IntN(4) == 0 {
			if len(all) == 0 || random.IntN(4) == 0 {
				k := NewRecord("acme", "o")
				k.CreatedAt, k.UpdatedAt = at, at
				all = append(all, adopt(e, k))
				continue
			}
			k := child(all[random.IntN(len(all))])
			k.AllowedIPs, k.CreatedAt, k.UpdatedAt = randomNetworks(random), at, at
			if issued, err := e.Issue(e.ctx, k, NewKey(e), nil); err == nil {
				all = append(all, issued)
			}
			continue
		}
		k := all[random.IntN(len(all))]
		if next := e.randomly(random, k, at); next.ID != uuid.Nil {
			all = append(all, next)
		}
		e.childrenWithin(at)
	}
	e.consistent("acme")
}

// randomly changes a key, and returns its successor if it has a new one.
func (e env) randomly(random *rand.Rand, k store.Key, at time.Time) (next store.Key) {
	switch random.IntN(8) {
	case 0:
		_, _ = e.Revoke(e.ctx, "acme", k.ID, at)
	case 1:
		r := NewRecord("acme", "o")
		r.CreatedAt = at
		_, next, _ = e.Rotate(e.ctx, "acme", k.ID, r, NewKey(e), at.Add(time.Duration(random.IntN(2))*time.Second), nil)
	case 2:
		_, _, _ = e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, at)
	case 3:
		_, _ = e.EndGrace(e.ctx, "acme", k.ID, uuid.Nil, at)
	default:
		_, _ = e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
			k.UpdatedAt = at
			switch random.IntN(5) {
			case 0:
				k.SuspendedAt = at
			case 1:
				k.SuspendedAt = time.Time{}
			case 2:
				k.Scopes = [][]string{{}, {"maps:read"}, {"maps:read", "maps:write"}}[random.IntN(3)]
			case 3:
				k.AllowedIPs = randomNetworks(random)
			case 4:
				k.ExpiresAt = now.Add(time.Duration(1+random.IntN(90)) * time.Second)
			}
			return nil
		})
	}
	return next
}

func randomNetworks(random *rand.Rand) []netip.Prefix {
	return [][]netip.Prefix{nil, someNetworks, someNetworks[:1], {netip.MustParsePrefix("10.1.0.0/16")}}[random.IntN(4)]
}

// childrenWithin checks all keys that have a parent.
func (e env) childrenWithin(at time.Time) {
	e.Helper()
	for _, k := range e.list("acme", store.Filter{}) {
		if k.Parent == uuid.Nil || !k.Published() {
			continue
		}
		parent := e.key(store.Key{Workspace: "acme", ID: k.Parent})
		if status := parent.Status(at); status != store.Active {
			e.Fatalf("%s is published, and its parent is %s", k.ID, status)
		}
		most := parent.Most()
		if !most.AllowsExpiry(k.ExpiresAt) || !most.AllowsScopes(k.Scopes...) || !most.AllowsIPs(k.AllowedIPs) || k.Plan != parent.Plan {
			if !slices.Equal(k.AllowedIPs, []netip.Prefix{netip.MustParsePrefix("::/128")}) {
				e.Fatalf("%+v\ncan do more than its parent\n%+v", k, parent)
			}
		}
	}
}

// childrenRace issues keys under a key while it is changed, rotated and revoked through another Store.
func childrenRace(e env, adopt adopter) {
	e.create("acme")
	other := e.open()
	for round := range 6 {
		parent := adopt(e, NewRecord("acme", "o"))
		next := successor(parent)
		var all sync.WaitGroup
		for range 4 {
			r, pub := child(parent), NewKey(e)
			all.Go(func() {
				_, err := e.Issue(e.ctx, r, pub, within(1000))
				if err != nil && !errors.Is(err, store.ErrNoParent) && !errors.Is(err, store.ErrBeyondParent) {
					e.Error(err)
				}
			})
		}
		pub := NewKey(e)
		all.Go(func() {
			var err error
			switch round % 3 {
			case 0:
				_, err = other.Revoke(e.ctx, "acme", parent.ID, now.Add(time.Minute))
			case 1:
				_, _, err = other.Rotate(e.ctx, "acme", parent.ID, next, pub, now.Add(time.Minute), nil)
			default:
				_, err = other.UpdateKey(e.ctx, "acme", parent.ID, func(_ *store.Workspace, k *store.Key) error {
					k.Scopes = []string{}
					return nil
				})
			}
			if err != nil {
				e.Error(err)
			}
		})
		all.Wait()
		e.childrenWithin(now.Add(2 * time.Second))
	}
	e.consistent("acme")
}
