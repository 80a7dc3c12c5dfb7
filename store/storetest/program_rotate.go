package storetest

import (
	"reflect"
	"slices"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

func (p *program) rotate() {
	ws, m, id := p.some()
	old, missing := m.key(id)
	next, pub, graceEnds := NewRecord(ws, p.pick("x", "y")), p.newPub(), p.time()
	limit := p.random.IntN(4)
	next.CreatedAt = p.time()
	next.IdempotencyKey = p.pick("", "", "", "1", "2")
	if p.random.IntN(8) == 0 {
		pub = p.pubs[p.random.IntN(len(p.pubs))]
	}
	// This follows the contract, without the functions of package store.
	if !old.ExpiresAt.IsZero() && graceEnds.After(old.ExpiresAt) {
		graceEnds = old.ExpiresAt
	}
	want := missing
	switch {
	case missing != nil:
	case m.repeated(next):
		want = store.ErrIdempotencyKey
	case old.Status(next.CreatedAt) != store.Active:
		want = store.ErrNotActive
	case m.unique(next, pub) != nil:
		want = m.unique(next, pub)
	case graceEnds.After(next.CreatedAt) && limit > 0 && m.count(old.Owner, store.Deprecated, next.CreatedAt) >= limit:
		want = store.ErrTooMany
	}
	gotOld, gotNew, err := p.Rotate(p.ctx, ws, id, next, pub, graceEnds, within(limit))
	p.result("rotate", err, want)
	if want != nil {
		return
	}
	m.version++
	next.AllowedIPs, next.Plan, next.Limits, next.Ceiling = old.AllowedIPs, old.Plan, old.Limits, old.Ceiling
	signed := &store.Signed{Scopes: next.Scopes, ExpiresAt: next.ExpiresAt}
	if len(old.Scopes) < len(next.Scopes) {
		next.Signed, next.Scopes = signed, old.Scopes
	}
	if most := old.Ceiling.ExpiresAt; !most.IsZero() && next.ExpiresAt.After(most) {
		next.Signed, next.ExpiresAt = signed, most
	}
	old.RotatedTo, old.GraceEndsAt, next.RotatedFrom = next.ID, graceEnds, id
	if !graceEnds.After(next.CreatedAt) {
		old.GraceEndsAt, old.RevokedAt, old.RevokedVersion = next.CreatedAt, next.CreatedAt, m.version
	}
	m.change(store.ActionKeyRotate, old)
	p.equal("successor", gotNew, p.add(m, next, pub))
	p.equal("rotated", gotOld, old)
}

func (p *program) undo() {
	ws, m, id := p.some()
	at := p.time()
	old, want := m.key(id)
	var next store.Key
	if want == nil {
		next = m.keys[old.RotatedTo]
		if old.Status(at) != store.Deprecated || next.Status(at) != store.Active || !reflect.DeepEqual(next.Ceiling, old.Ceiling) {
			want = store.ErrNotActive
		}
	}
	gotOld, gotNext, err := p.UndoRotation(p.ctx, ws, id, uuid.Nil, at)
	p.result("undo", err, want)
	if want != nil {
		return
	}
	m.version++
	old.RotatedTo, old.GraceEndsAt = uuid.Nil, old.RevokedAt
	next.RevokedAt, next.RevokedVersion = at, m.version
	m.change(store.ActionRotationUndo, old)
	m.change(store.ActionKeyRevoke, next)
	p.equal("undone", gotOld, old)
	p.equal("successor", gotNext, next)
}

// retire retires several keys at once. Some ids belong to another workspace or appear twice.
func (p *program) retire() {
	ws, m, id := p.some()
	ids := []uuid.UUID{id}
	for range p.random.IntN(6) {
		_, _, id := p.some()
		ids = append(ids, id)
	}
	at := p.time()
	got, err := p.Retire(p.ctx, ws, ids, at)
	p.ok(err)
	want := []store.Key{}
	for _, id := range ids {
		k, missing := m.key(id)
		if missing != nil || k.RevokedVersion+k.ExpiredVersion != 0 {
			continue
		}
		switch {
		case !k.GraceEndsAt.IsZero() && !k.GraceEndsAt.After(at):
			k.RevokedAt, k.RevokedVersion = at, m.version+1
			m.change(store.ActionGraceEnd, k)
		case !k.ExpiresAt.After(at):
			k.ExpiredVersion = m.version + 1
			m.change(store.ActionKeyExpire, k)
		default:
			continue
		}
		want = append(want, k)
	}
	if len(want) > 0 {
		m.version++
	}
	p.equal("retired", newestFirst(got), newestFirst(want))
}

func (p *program) due() {
	until := p.time()
	want := []uuid.UUID{}
	for _, m := range p.workspaces {
		for _, k := range m.keys {
			if k.RevokedVersion+k.ExpiredVersion == 0 && (!k.ExpiresAt.After(until) || (!k.GraceEndsAt.IsZero() && !k.GraceEndsAt.After(until))) {
				want = append(want, k.ID)
			}
		}
	}
	got, err := p.Due(p.ctx, store.DuePlace{}, until, 1000)
	p.ok(err)
	if !slices.IsSortedFunc(got, func(a, b store.DuePlace) int { return a.At.Compare(b.At) }) {
		p.Errorf("what is due is in no order: %+v", got)
	}
	byID := func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
	gotIDs := []uuid.UUID{}
	for _, d := range got {
		gotIDs = append(gotIDs, d.ID)
	}
	slices.SortFunc(gotIDs, byID)
	slices.SortFunc(want, byID)
	p.equal("due", gotIDs, want)
	earliest, err := p.NextDue(p.ctx)
	p.ok(err)
	if len(got) > 0 {
		p.equal("next due", earliest, got[0].At)
	} else if !earliest.IsZero() && !earliest.After(until) {
		p.Errorf("due next at %v, and nothing is due at %v", earliest, until)
	}
}
