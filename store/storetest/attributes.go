package storetest

import (
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var attributeTests = []test{
	{"are published with a new key", attributesIssued},
	{"change in one version each, and not without a difference", attributesUpdate},
	{"keep what the token says", attributesSigned},
	{"move the time at which a key is due", attributesDue},
	{"suspend a key: its JWK leaves and returns", attributesSuspend},
	{"of removed and expired keys cannot change", attributesRemoved},
	{"name an existing plan", attributesPlan},
	{"that gateways could not read are refused", attributesInvalid},
	{"change under the workspace's present policy", attributesPolicy},
	{"go over to the successor", attributesRotate},
	{"say when a key was rotated, and when its grace ends", attributesGrace},
	{"of one key change one after the other", attributesRace},
	{"change while a rotation is undone", attributesWhileUndone},
	{"are in the audit", attributesAudit},
	{"select keys", attributesFilter},
}

// update changes a key and checks that the version rises by `raised`.
func (e env) update(k store.Key, raised uint64, change func(k *store.Key)) store.Key {
	e.Helper()
	before := e.feed(k.Workspace).version
	got, err := e.UpdateKey(e.ctx, k.Workspace, k.ID, func(_ *store.Workspace, k *store.Key) error { change(k); return nil })
	e.ok(err)
	e.equal("read", e.key(k), got)
	e.equal("versions", e.feed(k.Workspace).version-before, raised)
	return got
}

func (e env) suspend(k store.Key) store.Key {
	e.Helper()
	return e.update(k, 1, func(k *store.Key) { k.SuspendedAt, k.SuspendedReason = now, "abuse" })
}

func (e env) resume(k store.Key) store.Key {
	e.Helper()
	return e.update(k, 1, func(k *store.Key) { k.SuspendedAt = time.Time{} })
}

var (
	someNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	someLimits   = []jwks.Limit{rule(5), {Name: "monthly", Requests: 7, Calendar: jwks.Month}}
)

// fencedRecord returns a record with attributes. The plan is "gold".
func fencedRecord() store.Key {
	k := NewRecord("acme", "o")
	k.AllowedIPs, k.Plan, k.Limits = someNetworks, "gold", someLimits
	return k
}

func attributesIssued(e env) {
	e.create("acme")
	e.plan("acme", "gold", rule(100))
	record := fencedRecord()
	k, pub := e.issue(record)
	record.KID, record.Version = k.KID, 3
	e.equal("issued", k, record)
	e.equal("read", e.key(k), record)
	want := jwks.Attributes{AllowedIPs: someNetworks, Plan: "gold", Limits: someLimits}
	e.equal("published", e.feed("acme").attributes, map[jwks.KID]jwks.Attributes{k.KID: want})
	e.equal("the change", e.changesOf("acme")[2], jwks.Change{
		Version: 3, Add: []jwks.Key{pub}, Remove: []jwks.KID{},
		Unsigned: jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: k.KID, Attributes: want}}},
	})
	// A token that does not contain the time at which its key expires.
	record = NewRecord("acme", "o")
	record.Signed = &store.Signed{Scopes: record.Scopes}
	k, _ = e.issue(record)
	e.equal("attributes", e.feed("acme").attributes[k.KID], jwks.Attributes{ExpiresAt: record.ExpiresAt})
	record.ID = uuid.Must(uuid.NewV7())
	record.Signed = &store.Signed{Scopes: record.Scopes, ExpiresAt: record.ExpiresAt}
	record.SuspendedAt, record.SuspendedReason = now, "x"
	k, _ = e.issue(record)
	if k.Signed != nil || !k.Published() {
		e.Errorf("got %+v", k)
	}
	e.consistent("acme")
}

func attributesUpdate(e env) {
	e.create("acme")
	e.plan("acme", "gold", rule(100))
	k, _ := e.issue(NewRecord("acme", "o"))
	for _, step := range []struct {
		raised uint64
		change func(k *store.Key)
		want   jwks.Attributes
	}{
		{1, func(k *store.Key) { k.AllowedIPs = someNetworks }, jwks.Attributes{AllowedIPs: someNetworks}},
		{0, func(k *store.Key) { k.AllowedIPs = slices.Clone(someNetworks) }, jwks.Attributes{AllowedIPs: someNetworks}},
		{0, func(k *store.Key) { k.Name = "new" }, jwks.Attributes{AllowedIPs: someNetworks}},
		{1, func(k *store.Key) { k.AllowedIPs, k.Plan = nil, "gold" }, jwks.Attributes{Plan: "gold"}},
		{1, func(k *store.Key) { k.Plan, k.Limits = "", someLimits }, jwks.Attributes{Limits: someLimits}},
		{1, func(k *store.Key) { k.Limits = nil }, jwks.Attributes{}},
		{0, func(k *store.Key) { k.Limits, k.AllowedIPs = []jwks.Limit{}, []netip.Prefix{} }, jwks.Attributes{}},
	} {
		k = e.update(k, step.raised, step.change)
		e.equal("attributes", e.feed("acme").attributes[k.KID], step.want)
		e.equal("of the record", k.Attributes(), step.want)
	}
	e.equal("changes", len(e.changesOf("acme")), 7)
	e.consistent("acme")
}

func attributesSigned(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	signed := store.Signed{Scopes: k.Scopes, ExpiresAt: k.ExpiresAt}
	for _, step := range []struct {
		raised uint64
		change func(k *store.Key)
		want   jwks.Attributes
	}{
		{1, func(k *store.Key) { k.Scopes = []string{"maps:read"} }, jwks.Attributes{Scopes: []string{"maps:read"}}},
		{1, func(k *store.Key) { k.Scopes = nil }, jwks.Attributes{Scopes: []string{}}},
		{1, func(k *store.Key) { k.Scopes = []string{"maps:write", "maps:read"} }, jwks.Attributes{}}, // another order
		{1, func(k *store.Key) { k.ExpiresAt = now.Add(2*time.Hour + 999) }, jwks.Attributes{ExpiresAt: now.Add(2 * time.Hour)}},
		{1, func(k *store.Key) { k.ExpiresAt = time.Time{} }, jwks.Attributes{NeverExpires: true}},
		{1, func(k *store.Key) { k.ExpiresAt = signed.ExpiresAt }, jwks.Attributes{}},
	} {
		k = e.update(k, step.raised, step.change)
		e.equal("attributes", e.feed("acme").attributes[k.KID], step.want)
		e.equal("signed", *k.Signed, signed)
	}
	k = e.update(k, 0, func(k *store.Key) { k.Scopes = signed.Scopes })
	if k.Signed != nil {
		e.Errorf("the record is as signed, and has %+v", k.Signed)
	}
	e.consistent("acme")
}

func attributesDue(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o")) // for an hour
	due := func() time.Time {
		at, err := e.NextDue(e.ctx)
		e.ok(err)
		return at
	}
	for _, at := range []time.Time{now.Add(time.Minute), now.Add(2 * time.Hour), {}} {
		k = e.update(k, 1, func(k *store.Key) { k.ExpiresAt = at })
		e.equal("due", due(), at)
		e.equal("of the record", k.DueAt(), at)
	}
	retired, err := e.Retire(e.ctx, "acme", []uuid.UUID{k.ID}, now.Add(90*time.Minute))
	e.ok(err)
	e.equal("retired too early", len(retired), 0)
	k = e.update(k, 1, func(k *store.Key) { k.ExpiresAt = now.Add(time.Minute) })
	retired, err = e.Retire(e.ctx, "acme", []uuid.UUID{k.ID}, now.Add(time.Minute))
	e.ok(err)
	e.equal("retired", ids(retired), []uuid.UUID{k.ID})
	// In its grace, a key is retired at the earlier time.
	k, _ = e.issue(NewRecord("acme", "o"))
	old, _, err := e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "o"), NewKey(e), now.Add(30*time.Minute), nil)
	e.ok(err)
	e.update(old, 1, func(k *store.Key) { k.ExpiresAt = now.Add(time.Minute) })
	e.equal("due", due(), now.Add(time.Minute))
	retired, err = e.Retire(e.ctx, "acme", []uuid.UUID{k.ID}, now.Add(time.Minute))
	e.ok(err)
	e.equal("status", retired[0].Status(now), store.Expired)
	e.consistent("acme")
}

func attributesRemoved(e env) {
	e.create("acme")
	expired := NewRecord("acme", "o")
	expired.ExpiresAt = now
	expired, _ = e.issue(expired)
	retired := NewRecord("acme", "o")
	retired.ExpiresAt = now
	retired, _ = e.issue(retired)
	_, err := e.Retire(e.ctx, "acme", []uuid.UUID{retired.ID}, now)
	e.ok(err)
	revoked, _ := e.issue(NewRecord("acme", "o"))
	e.revoke(revoked)
	_, version := e.published("acme")
	for _, k := range []store.Key{expired, retired, revoked} {
		for _, change := range []func(k *store.Key){
			func(k *store.Key) { k.SuspendedAt = now },
			func(k *store.Key) { k.ExpiresAt = now.Add(time.Hour + 1000) },
			func(k *store.Key) { k.ExpiresAt = time.Time{} },
			func(k *store.Key) { k.Scopes = nil },
			func(k *store.Key) { k.AllowedIPs = someNetworks },
			func(k *store.Key) { k.Limits = someLimits },
		} {
			before := e.key(k)
			_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
				k.UpdatedAt = now.Add(time.Minute)
				change(k)
				return nil
			})
			e.is(err, store.ErrNotActive)
			e.equal("read", e.key(k), before)
		}
		got := e.update(k, 0, func(k *store.Key) { k.Name = "new" })
		e.equal("name", got.Name, "new")
	}
	e.equal("version", e.feed("acme").version, version)
	e.consistent("acme")
}

func attributesPlan(e env) {
	e.create("acme")
	e.create("other")
	e.plan("other", "gold", rule(1))
	_, err := e.Issue(e.ctx, fencedRecord(), NewKey(e), nil)
	e.is(err, store.ErrNoPlan)
	_, err = e.Issue(e.ctx, fencedRecord(), NewKey(e), within(5))
	e.is(err, store.ErrNoPlan)
	k, _ := e.issue(NewRecord("acme", "o"))
	change := func(_ *store.Workspace, k *store.Key) error { k.Name, k.Plan = "new", "gold"; return nil }
	_, err = e.UpdateKey(e.ctx, "acme", k.ID, change)
	e.is(err, store.ErrNoPlan)
	e.equal("read", e.key(k), k)
	e.equal("version", e.feed("acme").version, uint64(2))
	e.plan("acme", "gold", rule(1))
	got, err := e.UpdateKey(e.ctx, "acme", k.ID, change)
	e.ok(err)
	e.equal("plan", got.Plan, "gold")
	e.consistent("acme")
	e.consistent("other")
}

func attributesInvalid(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	for name, change := range map[string]func(k *store.Key){
		"rule":   func(k *store.Key) { k.Limits = []jwks.Limit{{Name: "x", Requests: 1}} },
		"name":   func(k *store.Key) { k.Limits = []jwks.Limit{{Name: "\xff", Requests: 1, Seconds: 1}} },
		"signed": func(k *store.Key) { k.Signed = &store.Signed{Scopes: []string{"\xff"}} },
		"scope":  func(k *store.Key) { k.Scopes = []string{"\xff"} },
		"reason": func(k *store.Key) { k.SuspendedAt, k.SuspendedReason = now, "\x00" },
	} {
		_, err := e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { change(k); return nil })
		if err == nil && name != "signed" { // which UpdateKey ignores
			e.Errorf("%s: stored", name)
		}
		record := NewRecord("acme", "o")
		change(&record)
		if name == "reason" { // which new keys do not have
			continue
		}
		if _, err := e.Issue(e.ctx, record, NewKey(e), nil); err == nil {
			e.Errorf("%s: issued", name)
		}
		if _, _, err := e.Rotate(e.ctx, "acme", k.ID, record, NewKey(e), now, nil); err == nil {
			e.Errorf("%s: rotated", name)
		}
	}
	e.equal("read", e.key(k), k)
	e.consistent("acme")
}

func attributesPolicy(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	want, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error { w.Policy.MaxExpiresIn = 7; return nil })
	e.ok(err)
	e.update(k, 0, func(*store.Key) {})
	_, err = e.UpdateKey(e.ctx, "acme", k.ID, func(w *store.Workspace, _ *store.Key) error {
		e.equal("workspace", *w, want)
		w.Name = "changed"
		return nil
	})
	e.ok(err)
	got, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("workspace", got, want)
}

func attributesRotate(e env) {
	e.create("acme")
	e.plan("acme", "gold", rule(1))
	k, _ := e.issue(fencedRecord())
	k = e.update(k, 1, func(k *store.Key) { k.Scopes = []string{"maps:read"} })
	record := NewRecord("acme", "o") // with the scopes that its token has
	old, next, err := e.Rotate(e.ctx, "acme", k.ID, record, NewKey(e), now.Add(time.Minute), nil)
	e.ok(err)
	e.equal("read", e.key(next), next)
	want := jwks.Attributes{AllowedIPs: someNetworks, Plan: "gold", Limits: someLimits, Scopes: []string{"maps:read"}}
	e.equal("of the successor", e.feed("acme").attributes[next.KID], want)
	want.RotatedAt, want.EndsAt = timeOf(next.ID), now.Add(time.Minute)
	e.equal("of the old key", e.feed("acme").attributes[old.KID], want)
	e.equal("signed", *next.Signed, store.Signed{Scopes: record.Scopes, ExpiresAt: record.ExpiresAt})
	e.is(e.DeleteLimits(e.ctx, "acme", jwks.OnPlan, "gold", now), store.ErrInUse)
	e.consistent("acme")
}

// In its grace, a key keeps the end of it whatever else changes, until the rotation is undone.
func attributesGrace(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	old, next := e.rotate(k)
	want := jwks.Attributes{RotatedAt: timeOf(next.ID), EndsAt: now.Add(time.Minute)}
	of := func() jwks.Attributes { return e.feed("acme").attributes[k.KID] }
	e.equal("rotated", of(), want)
	want.AllowedIPs = someNetworks
	e.update(old, 1, func(k *store.Key) { k.AllowedIPs = someNetworks })
	e.equal("restricted", of(), want)
	e.suspend(old)
	e.resume(old)
	e.equal("resumed", of(), want)
	_, _, err := e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, now.Add(time.Second))
	e.ok(err)
	e.equal("undone", of(), jwks.Attributes{AllowedIPs: someNetworks})
	old, _ = e.rotate(k)
	_, err = e.EndGrace(e.ctx, "acme", old.ID, uuid.Nil, now.Add(2*time.Second))
	e.ok(err)
	e.equal("ended", of(), jwks.Attributes{})
	e.consistent("acme")
}

// A key that is restricted while its rotation is undone stays restricted.
func attributesWhileUndone(e env) {
	e.create("acme")
	for range 10 {
		k, _ := e.issue(NewRecord("acme", "o"))
		old, _ := e.rotate(k)
		e.parallel(2, func(i int) {
			var err error
			if i == 0 {
				_, _, err = e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, now.Add(2*time.Second))
			} else {
				_, err = e.UpdateKey(e.ctx, "acme", old.ID, func(_ *store.Workspace, k *store.Key) error { k.AllowedIPs = someNetworks; return nil })
			}
			if err != nil {
				e.Error(err)
			}
		})
		e.equal("attributes", e.feed("acme").attributes[k.KID], jwks.Attributes{AllowedIPs: someNetworks})
	}
	e.consistent("acme")
}

// A key that is restricted while it is rotated has no successor without the restriction.
func attributesRace(e env) {
	e.create("acme")
	for range 10 {
		k, _ := e.issue(NewRecord("acme", "o"))
		var next store.Key
		e.parallel(3, func(i int) {
			var err error
			switch i {
			case 0:
				_, next, err = e.Rotate(e.ctx, "acme", k.ID, NewRecord("acme", "o"), NewKey(e), now.Add(time.Minute), nil)
			case 1:
				_, err = e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { k.AllowedIPs = someNetworks; return nil })
			case 2:
				_, err = e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
					k.ExpiresAt, k.Scopes = now.Add(30*time.Second), []string{"maps:read"}
					return nil
				})
			}
			if err != nil {
				e.Error(err)
			}
		})
		old := e.key(k)
		e.equal("networks", old.AllowedIPs, someNetworks)
		e.equal("scopes", old.Scopes, []string{"maps:read"})
		if next.AllowedIPs == nil && e.restrictedAt(k.KID) < next.Version {
			e.Errorf("the successor of %+v is %+v", old, next)
		}
	}
	e.consistent("acme")
}

// restrictedAt returns the version that restricted a key to networks.
func (e env) restrictedAt(kid jwks.KID) uint64 {
	for _, c := range e.changesOf("acme") {
		for _, set := range c.Unsigned.Set {
			if set.KID == kid && set.Attributes.AllowedIPs != nil {
				return c.Version
			}
		}
	}
	return 0
}

func attributesAudit(e env) {
	e.create("acme")
	e.plan("acme", "gold", rule(1))
	record := NewRecord("acme", "o")
	record.Plan, record.AllowedIPs = "gold", someNetworks[:1]
	k, _ := e.issue(record)
	e.update(k, 1, func(k *store.Key) {
		k.UpdatedAt = now.Add(time.Minute)
		k.SuspendedAt, k.SuspendedReason = now, "abuse"
		k.ExpiresAt, k.Scopes = time.Time{}, []string{"maps:read"}
		k.AllowedIPs, k.Plan, k.Limits = someNetworks[1:], "", []jwks.Limit{rule(5)}
	})
	list := e.audit("acme", store.AuditFilter{Key: k.ID})
	e.equal("update", string(list[0].Detail), `{"allowed_ips":{"before":["10.0.0.0/8"],"after":["2001:db8::/32"]},`+
		`"enabled":{"before":true,"after":false},"expires_at":{"before":"2026-03-04T06:06:07.123456Z","after":null},`+
		`"limits":{"before":null,"after":[{"name":"burst","requests":5,"seconds":60}]},"plan":{"before":"gold","after":null},`+
		`"scopes":{"before":["maps:read","maps:write"],"after":["maps:read"]},"suspended_reason":{"before":null,"after":"abuse"}}`)
	e.equal("issue", string(list[1].Detail), `{"allowed_ips":["10.0.0.0/8"],"expires_at":"2026-03-04T06:06:07.123456Z","kid":"`+
		k.KID.String()+`","name":"key of o","plan":"gold","scopes":["maps:read","maps:write"]}`)
}

func attributesFilter(e env) {
	e.create("acme")
	e.plan("acme", "gold", rule(1))
	e.plan("acme", "free", rule(1))
	var gold []store.Key
	for range 3 {
		k, _ := e.issue(fencedRecord())
		gold = append(gold, k)
	}
	gold[2] = e.update(gold[2], 1, func(k *store.Key) { k.Plan = "free" })
	gold[1] = e.suspend(gold[1])
	live := store.Filter{Live: true, Now: now}
	for _, c := range []struct {
		filter store.Filter
		want   []store.Key
	}{
		{store.Filter{Plan: "gold"}, gold[:2]},
		{store.Filter{Plan: "free", Owner: "o"}, gold[2:]},
		{store.Filter{Plan: "\xff"}, nil},
		{store.Filter{Plan: "gold", Live: true, Now: now}, gold[:2]},
		{store.Filter{Status: store.Suspended, Now: now}, gold[1:2]},
		{store.Filter{Status: store.Suspended, Now: now.Add(time.Hour)}, nil}, // has expired
		{store.Filter{Status: store.Active, Now: now}, []store.Key{gold[0], gold[2]}},
		{live, gold},
	} {
		e.equal("list", e.list("acme", c.filter), newestFirst(append([]store.Key{}, c.want...)))
	}
}
