package storetest

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// publish returns what the model publishes.
func (m *model) publish() *feed {
	f := newFeed()
	f.version, f.keys = m.version, m.set
	for _, k := range m.keys {
		if _, ok := m.set[k.KID]; ok {
			f.set(k.KID, k.Attributes())
		}
	}
	for name, l := range m.limits {
		if len(l.Limits) > 0 {
			f.shared[name] = l.LimitSet
		}
	}
	return f
}

func (m *model) plan(name string) error {
	if _, ok := m.limits["plan "+name]; name != "" && !ok {
		return store.ErrNoPlan
	}
	return nil
}

func (p *program) networks() []netip.Prefix { return someNetworks[:p.random.IntN(3):2] }

func (p *program) rules() []jwks.Limit { return someLimits[:p.random.IntN(3):2] }

// alter suspends or resumes a key, or changes some of its attributes.
func (p *program) alter() {
	ws, m, id := p.some()
	at := p.time()
	old, want := m.key(id)
	changed := p.altered(old)
	if want == nil && !reflect.DeepEqual(changed, old) {
		if want = m.plan(changed.Plan); changed.Plan == old.Plan {
			want = nil
		}
		if old.RevokedVersion+old.ExpiredVersion != 0 || slices.Contains([]store.Status{store.Revoked, store.Expired}, old.Status(at)) {
			want = store.ErrNotActive
		}
	}
	got, err := p.UpdateKey(p.ctx, ws, id, func(_ *store.Workspace, k *store.Key) error {
		p.equal("what change is given", *k, old)
		*k = changed
		k.UpdatedAt = at
		return nil
	})
	p.result("alter", err, want)
	if want == nil {
		p.equal("altered", got, m.alter(old, changed, at))
	}
}

// altered returns a key with some other attributes.
func (p *program) altered(k store.Key) store.Key {
	switch p.random.IntN(9) {
	case 0, 1:
		k.SuspendedAt, k.SuspendedReason = now, p.pick("", "abuse")
	case 2:
		k.SuspendedAt, k.SuspendedReason = time.Time{}, ""
	case 3:
		k.ExpiresAt = now.Add(time.Duration(p.random.IntN(5)) * time.Second)
	case 4:
		k.Scopes = []string{"maps:read", "maps:write"}[:1+p.random.IntN(2)]
	case 5:
		k.AllowedIPs = slices.Clone(p.networks())
	case 6:
		k.Plan = p.pick("", "gold", "free")
	case 7:
		k.Limits = slices.Clone(p.rules())
	case 8:
		k.Ceiling = p.ceiling()
	}
	return normal(k)
}

// normal returns a key with nil for empty attributes.
func normal(k store.Key) store.Key {
	if len(k.AllowedIPs) == 0 {
		k.AllowedIPs = nil
	}
	if len(k.Limits) == 0 {
		k.Limits = nil
	}
	return k
}

// alter stores a changed key in the model and returns it.
func (m *model) alter(old, k store.Key, at time.Time) store.Key {
	k.UpdatedAt = at
	if k.Signed == nil {
		k.Signed = &store.Signed{Scopes: old.Scopes, ExpiresAt: old.ExpiresAt}
	}
	if reflect.DeepEqual(*k.Signed, store.Signed{Scopes: k.Scopes, ExpiresAt: k.ExpiresAt}) {
		k.Signed = nil
	}
	before, was := m.publish(), len(m.set)
	if m.change(store.ActionKeyUpdate, k); k.RevokedVersion+k.ExpiredVersion == 0 {
		if delete(m.set, k.KID); k.SuspendedAt.IsZero() {
			m.set[k.KID] = m.pubs[k.KID]
		}
	}
	if after := m.publish(); was != len(m.set) || !reflect.DeepEqual(before.attributes, after.attributes) {
		m.version++
	}
	return k
}

func (p *program) ceiling() store.Ceiling {
	return []store.Ceiling{
		{},
		{ExpiresAt: now.Add(time.Duration(p.random.IntN(5)) * time.Second)},
		{Scopes: []string{"maps:read", "maps:write"}[:p.random.IntN(3)]},
		{ExpiresAt: now.Add(2 * time.Hour), AllowedIPs: slices.Clone(someNetworks)},
	}[p.random.IntN(4)]
}

// share creates, changes or deletes a set of limits.
func (p *program) share() {
	ws := p.workspace()
	m := p.workspaces[ws]
	l := newLimits(ws, p.pick(jwks.OnPlan, jwks.OnPlan, jwks.OnOwner), p.pick("gold", "free"), p.rules()...)
	name := l.On + " " + l.Name
	if m == nil {
		_, err := p.CreateLimits(p.ctx, l)
		p.result("create limits", err, store.ErrNotFound)
		return
	}
	old, has := m.limits[name]
	var want error
	switch p.random.IntN(3) {
	case 0:
		if has {
			want = store.ErrExists
		}
		got, err := p.CreateLimits(p.ctx, l)
		p.result("create limits", err, want)
		if want == nil {
			l.UpdatedAt = l.CreatedAt
			p.equal("created", got, l)
			m.share(store.ActionLimitsCreate, name, old, l)
		}
	case 1:
		if !has {
			want = store.ErrNotFound
		}
		got, err := p.UpdateLimits(p.ctx, ws, l.On, l.Name, func(s *store.LimitSet) error { s.Limits = l.Limits; return nil })
		p.result("update limits", err, want)
		if want == nil {
			l.UpdatedAt = l.CreatedAt
			p.equal("updated", got, l)
			m.share(store.ActionLimitsUpdate, name, old, l)
		}
	default:
		switch {
		case !has:
			want = store.ErrNotFound
		case l.On == jwks.OnPlan && m.uses(l.Name):
			want = store.ErrInUse
		}
		p.result("delete limits", p.DeleteLimits(p.ctx, ws, l.On, l.Name, now), want)
		if want == nil {
			m.share(store.ActionLimitsDelete, name, old, store.LimitSet{})
			delete(m.limits, name)
		}
	}
}

func (m *model) share(action, name string, old, l store.LimitSet) {
	if !slices.Equal(old.Limits, l.Limits) {
		m.version++
	}
	m.limits[name] = l
	m.record(action, uuid.Nil)
}

// uses reports whether a key that is not removed has a plan.
func (m *model) uses(plan string) bool {
	for _, k := range m.keys {
		if k.Plan == plan && k.RevokedVersion+k.ExpiredVersion == 0 {
			return true
		}
	}
	return false
}
