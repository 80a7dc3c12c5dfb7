package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var programTests = []test{
	{"agree with a model, seed 1", func(e env) { runProgram(e, 1) }},
	{"agree with a model, seed 2", func(e env) { runProgram(e, 2) }},
	{"agree with a model, seed 3", func(e env) { runProgram(e, 3) }},
	{"agree with a model, a new seed", func(e env) { runProgram(e, rand.Uint64()) }},
}

// program runs random operations on a store and on a simple model of the contract, and compares their answers.
type program struct {
	env
	random     *rand.Rand
	workspaces map[string]*model
	pubs       []jwks.Key // all that were made, to be offered again
	records    []store.Key
}

type model struct {
	version uint64
	keys    map[uuid.UUID]store.Key
	set     map[jwks.KID]jwks.Key
	had     map[jwks.KID]bool
	pubs    map[jwks.KID]jwks.Key
	limits  map[string]store.LimitSet
	entries []string // of the audit
}

// record adds an entry to the model.
func (m *model) record(action string, id uuid.UUID) {
	m.entries = append(m.entries, action+" "+id.String())
}

// compareAudit compares the entries in any order, because the times of the operations are random.
func (p *program) compareAudit(id string, m *model) {
	got := []string{}
	for _, e := range p.audit(id, store.AuditFilter{}) {
		got = append(got, e.Action+" "+e.Key.String())
	}
	slices.Sort(got)
	slices.Sort(m.entries)
	p.equal("audit of "+id, got, m.entries)
}

func runProgram(e env, seed uint64) {
	e.Logf("seed %d", seed)
	p := &program{env: e, random: rand.New(rand.NewPCG(seed, 0)), workspaces: map[string]*model{}}
	steps := []func(){
		p.createWorkspace, p.issue, p.issue, p.issue, p.issueAgain, p.revoke, p.revoke, p.update, p.look, p.list, p.publish,
		p.rotate, p.rotate, p.undo, p.retire, p.retire, p.due, p.alter, p.alter, p.alter, p.share,
	}
	p.createWorkspace()
	for range 300 {
		steps[p.random.IntN(len(steps))]()
	}
	for id, m := range p.workspaces {
		p.comparePublished(id, m)
		p.consistent(id)
		p.equal("keys of "+id, p.env.list(id, store.Filter{}), m.sorted())
		p.compareAudit(id, m)
	}
}

func (m *model) sorted() []store.Key {
	keys := make([]store.Key, 0, len(m.keys))
	for _, k := range m.keys {
		keys = append(keys, k)
	}
	return newestFirst(keys)
}

func (p *program) pick(list ...string) string { return list[p.random.IntN(len(list))] }

// time returns a time near the times at which keys expire and graces end.
func (p *program) time() time.Time { return now.Add(time.Duration(p.random.IntN(8)-3) * time.Second) }

func (p *program) workspace() string { return p.pick("a", "b", "c") }

func (p *program) newPub() jwks.Key {
	n := make([]byte, jwks.ModulusLen)
	for i := range n {
		n[i] = byte(p.random.Uint32())
	}
	pub := keyOf(p, n)
	p.pubs = append(p.pubs, pub)
	return pub
}

// result compares an error with that of the model.
func (p *program) result(doing string, err, want error) {
	p.Helper()
	if (want == nil && err != nil) || !errors.Is(err, want) {
		p.Fatalf("%s: got %v, want %v", doing, err, want)
	}
}

func (p *program) createWorkspace() {
	id, pub := p.workspace(), p.newPub()
	_, err := p.CreateWorkspace(p.ctx, store.Workspace{ID: id, CreatedAt: now}, pub)
	if p.workspaces[id] != nil {
		p.result("create again", err, store.ErrExists)
		return
	}
	p.result("create", err, nil)
	p.workspaces[id] = &model{
		version: 1, keys: map[uuid.UUID]store.Key{},
		set: map[jwks.KID]jwks.Key{pub.KID(): pub}, had: map[jwks.KID]bool{pub.KID(): true},
		pubs: map[jwks.KID]jwks.Key{}, limits: map[string]store.LimitSet{},
	}
	p.workspaces[id].record(store.ActionWorkspaceCreate, uuid.Nil)
}

func (p *program) issue() {
	k := NewRecord(p.workspace(), p.pick("x", "y", "Z"))
	k.Name = p.pick("", "alpha", "Beta", "a%b_c")
	k.ExpiresAt = now.Add(time.Duration(p.random.IntN(5)-2) * time.Second)
	if p.random.IntN(2) == 0 {
		k.IdempotencyKey = fmt.Sprint(p.random.IntN(12))
	}
	if p.random.IntN(3) == 0 {
		k.AllowedIPs, k.Plan, k.Limits = p.networks(), p.pick("", "gold", "free"), p.rules()
		k = normal(k)
	}
	limit := 0
	if p.random.IntN(3) == 0 {
		limit = 1 + p.random.IntN(6)
	}
	p.try(k, p.newPub(), limit)
}

// issueAgain issues a key whose id or kid was perhaps already used, in this workspace or another.
func (p *program) issueAgain() {
	k, pub := NewRecord(p.workspace(), "x"), p.pubs[p.random.IntN(len(p.pubs))]
	if len(p.records) > 0 && p.random.IntN(2) == 0 {
		k.ID = p.records[p.random.IntN(len(p.records))].ID
		pub = p.newPub()
	}
	p.try(k, pub, 0)
}

func (p *program) try(k store.Key, pub jwks.Key, limit int) {
	m := p.workspaces[k.Workspace]
	want := m.issuable(k, pub, limit)
	got, err := p.Issue(p.ctx, k, pub, within(limit))
	p.result("issue", err, want)
	if want != nil {
		return
	}
	m.version++
	p.equal("issued", got, p.add(m, k, pub))
}

// add adds a key to the model.
func (p *program) add(m *model, k store.Key, pub jwks.Key) store.Key {
	k.KID, k.Version = pub.KID(), m.version
	m.keys[k.ID], m.set[k.KID], m.had[k.KID], m.pubs[k.KID] = k, pub, true, pub
	m.record(store.ActionKeyIssue, k.ID)
	p.records = append(p.records, k)
	return k
}

func (m *model) issuable(k store.Key, pub jwks.Key, limit int) error {
	if m == nil {
		return store.ErrNotFound
	}
	if m.repeated(k) {
		return store.ErrIdempotencyKey
	}
	if err := m.plan(k.Plan); err != nil {
		return err
	}
	if err := m.unique(k, pub); err != nil {
		return err
	}
	if limit > 0 && m.count(k.Owner, store.Active, k.CreatedAt) >= limit {
		return store.ErrTooMany
	}
	return nil
}

func (m *model) repeated(k store.Key) bool {
	for _, other := range m.keys {
		if k.IdempotencyKey != "" && other.IdempotencyKey == k.IdempotencyKey {
			return true
		}
	}
	return false
}

func (m *model) count(owner string, status store.Status, at time.Time) (n int) {
	for _, k := range m.keys {
		if resumed := k; k.Owner == owner {
			resumed.SuspendedAt = time.Time{}
			if resumed.Status(at) != status {
				continue
			}
			n++
		}
	}
	return n
}

func (m *model) unique(k store.Key, pub jwks.Key) error {
	if m.had[pub.KID()] {
		return store.ErrDuplicateKID
	}
	if _, ok := m.keys[k.ID]; ok {
		return store.ErrExists
	}
	return nil
}

// some returns a workspace and an id, often that of one of its keys.
func (p *program) some() (string, *model, uuid.UUID) {
	ws := p.workspace()
	if len(p.records) == 0 {
		return ws, p.workspaces[ws], uuid.Must(uuid.NewV7())
	}
	k := p.records[p.random.IntN(len(p.records))]
	if p.random.IntN(4) > 0 {
		ws = k.Workspace
	}
	return ws, p.workspaces[ws], k.ID
}

func (m *model) key(id uuid.UUID) (store.Key, error) {
	if m != nil {
		if k, ok := m.keys[id]; ok {
			return k, nil
		}
	}
	return store.Key{}, store.ErrNotFound
}

func (p *program) revoke() {
	ws, m, id := p.some()
	at := now.Add(time.Duration(p.random.IntN(1000)) * time.Second)
	want, missing := m.key(id)
	got, err := p.Revoke(p.ctx, ws, id, at)
	p.result("revoke", err, missing)
	if missing != nil {
		return
	}
	if want.RevokedAt.IsZero() {
		want.RevokedAt = at
		if want.ExpiredVersion == 0 {
			m.version++
			want.RevokedVersion = m.version
		}
		m.change(store.ActionKeyRevoke, want)
	}
	p.equal("revoked", got, want)
}

// change stores the new state of a key in the model.
func (m *model) change(action string, k store.Key) {
	m.keys[k.ID] = k
	m.record(action, k.ID)
	if k.RevokedVersion+k.ExpiredVersion > 0 {
		delete(m.set, k.KID)
	}
}

func (p *program) update() {
	ws, m, id := p.some()
	want, fails := m.key(id)
	refusal := errors.New("refused")
	if fails == nil && p.random.IntN(3) == 0 {
		fails = refusal
	}
	name := p.pick("new", "newer", "")
	got, err := p.UpdateKey(p.ctx, ws, id, func(_ *store.Workspace, k *store.Key) error {
		k.Name, k.Owner = name, "changed"
		if errors.Is(fails, refusal) {
			return refusal
		}
		return nil
	})
	p.result("update", err, fails)
	if fails == nil {
		want.Name = name
		m.change(store.ActionKeyUpdate, want)
		p.equal("updated", got, want)
	}
}

func (p *program) look() {
	ws, m, id := p.some()
	want, missing := m.key(id)
	got, err := p.Key(p.ctx, ws, id)
	p.result("look", err, missing)
	if missing == nil {
		p.equal("key", got, want)
	}
}

func (p *program) list() {
	ws, m, after := p.some()
	f := store.Filter{
		Owner:  p.pick("", "", "x", "z"),
		Status: store.Status(p.pick("", "", "active", "deprecated", "suspended", "revoked", "expired")),
		Live:   p.random.IntN(4) == 0,
		Scope:  p.pick("", "", "maps:read", "maps"),
		Plan:   p.pick("", "", "", "gold"),
		Query:  p.pick("", "", "A", "%", "z", after.String()),
		Now:    p.time(),
		Limit:  1 + p.random.IntN(10),
	}
	if p.random.IntN(2) == 0 {
		f.After = after
	}
	want := []store.Key{}
	if m != nil {
		want = slices.DeleteFunc(m.sorted(), func(k store.Key) bool { return !selects(f, k) })
	}
	p.equal(fmt.Sprintf("list %+v", f), p.env.list(ws, f), want[:min(f.Limit, len(want))])
}

// selects reports whether f selects k. It follows the contract, not a backend's code.
func selects(f store.Filter, k store.Key) bool {
	contains := func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(f.Query)) }
	switch {
	case f.Owner != "" && k.Owner != f.Owner,
		f.Status != "" && k.Status(f.Now) != f.Status,
		f.Live && !slices.Contains([]store.Status{store.Active, store.Deprecated, store.Suspended}, k.Status(f.Now)),
		f.Plan != "" && k.Plan != f.Plan,
		f.Scope != "" && !slices.Contains(k.Scopes, f.Scope),
		f.After != uuid.Nil && slices.Compare(k.ID[:], f.After[:]) >= 0:
		return false
	}
	return contains(k.Name) || contains(k.Owner) || f.Query == k.ID.String() || f.Query == k.KID.String()
}

func (p *program) publish() {
	id := p.workspace()
	if m := p.workspaces[id]; m != nil {
		p.comparePublished(id, m)
	}
}

func (p *program) comparePublished(id string, m *model) {
	p.equal("published", p.feed(id), m.publish())
	p.sameFingerprint(id)
}
