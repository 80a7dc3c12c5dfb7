package e2e_test

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// fate is what is known about the state of a key.
type fate int

const (
	live     fate = iota // its issue was acknowledged, or it was found published
	revoking             // a revocation was sent and not answered
	revoked              // a revocation was acknowledged, or found to have happened
)

type entry struct {
	id, kid string
	fate    fate
}

// ledger records acknowledged changes. After a crash, the server's data is compared with them.
type ledger struct {
	mu       sync.Mutex
	entries  map[string]*entry // by id
	versions map[uint64]bool   // acknowledged
	highest  uint64
	open     int // issues sent and not answered

	issues, revocations         int // acknowledged
	openIssues, openRevocations int // that were in flight at a crash
	madeIssues, madeRevocations int // of these, those that had happened
}

func newLedger() *ledger {
	return &ledger{entries: make(map[string]*entry), versions: make(map[uint64]bool)}
}

// hasWorked reports whether kills could have lost something.
func (l *ledger) hasWorked(rounds int) bool {
	return l.issues >= rounds && l.revocations > 0 && l.openIssues > 0
}

// acknowledge records the version of a change.
func (l *ledger) acknowledge(t *testing.T, version uint64) {
	if l.versions[version] {
		t.Errorf("version %d was acknowledged twice", version)
	}
	l.versions[version] = true
	l.highest = max(l.highest, version)
}

// work runs one client, which issues and revokes keys until the server is gone. Before each revocation, it
// sends a value to the channel sending.
func (l *ledger) work(t *testing.T, c *client, rng *rand.Rand, sending chan<- struct{}) {
	for l.issue(t, c) {
		for range rng.IntN(3) {
			if e := l.pick(); e != nil && !l.revoke(t, c, e, sending) {
				return
			}
		}
	}
}

func (l *ledger) issue(t *testing.T, c *client) bool {
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
	k, err := c.issue("acme", map[string]any{"owner": "cust_1"})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if status(err) != 0 {
			t.Errorf("issue: %v", err)
		}
		return false
	}
	l.open--
	l.issues++
	l.entries[k.ID] = &entry{id: k.ID, kid: k.KID}
	l.acknowledge(t, k.Version)
	return true
}

// pick removes a live key from the ledger so that it can be revoked. It returns nil if only a few are left.
func (l *ledger) pick() *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var chosen *entry
	n := 0
	for _, e := range l.entries {
		if e.fate == live {
			chosen = e
			n++
		}
	}
	if n < 5 {
		return nil
	}
	chosen.fate = revoking
	return chosen
}

func (l *ledger) revoke(t *testing.T, c *client, e *entry, sending chan<- struct{}) bool {
	select {
	case sending <- struct{}{}:
	default:
	}
	version, err := c.revoke("acme", e.id)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if status(err) != 0 {
			t.Errorf("revoke: %v", err)
		}
		return false
	}
	l.revocations++
	e.fate = revoked
	l.acknowledge(t, version)
	return true
}

// audit compares the server's data and set with the acknowledged changes. If a change was in progress during
// the crash, both outcomes are correct, and audit records the actual one.
func (l *ledger) audit(t *testing.T, s *server, admin *client) {
	t.Helper()
	set := s.mustPublished("acme")
	version, err := admin.version("acme")
	check(t, err)
	records, err := admin.keys("acme")
	check(t, err)
	if set.version != version || version < l.highest {
		t.Errorf("the ETag says version %d, the workspace %d, and %d was acknowledged", set.version, version, l.highest)
	}
	l.highest = version
	l.adopt(t, records)

	gone := 0
	for _, k := range records {
		e := l.entries[k.ID]
		if e.fate == revoking {
			l.settle(e, k)
		}
		if e.fate == revoked {
			gone++
		}
		if want := e.fate == live; set.has(e.kid) != want || (k.Status == "active") != want {
			t.Errorf("%s is %s, published: %t; want it published: %t", e.id, k.Status, set.has(e.kid), want)
		}
	}
	if len(records) != len(l.entries) {
		t.Errorf("%d keys are kept, and %d were acknowledged or found before", len(records), len(l.entries))
	}
	if want := 1 + len(records) - gone; set.size != want || len(set.moduli) != want {
		t.Errorf("%d keys are published, want %d", set.size, want)
	}
	// The tombstone, each issue and each revocation add one version each.
	if want := uint64(1 + len(records) + gone); version != want {
		t.Errorf("version %d after %d changes", version, want)
	}
}

// adopt adds keys that were issued although the answer was lost.
func (l *ledger) adopt(t *testing.T, records []key) {
	t.Helper()
	found := 0
	for _, k := range records {
		if l.entries[k.ID] == nil {
			l.entries[k.ID] = &entry{id: k.ID, kid: k.KID}
			found++
		}
	}
	if found > l.open {
		t.Errorf("%d keys nobody asked for", found-l.open)
	}
	l.openIssues += l.open
	l.madeIssues += found
	l.open = 0
}

func (l *ledger) settle(e *entry, k key) {
	l.openRevocations++
	if e.fate = live; k.Status == "revoked" {
		e.fate = revoked
		l.madeRevocations++
	}
}
