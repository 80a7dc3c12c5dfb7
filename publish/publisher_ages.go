package publish

import (
	"errors"
	"time"

	"github.com/burnkey/burnkey/store"
)

// ages are how current the published sets are, workspace by workspace: one that
// can't be read makes no other look old. Its owner guards it.
type ages struct {
	// checked is when the store's versions were last read.
	checked time.Time
	// late are the workspaces whose sets had not reached them then.
	late map[string]lag
	// damaged are those of them whose sets can't be read until somebody mends them: a
	// fault of its own, which must not hide that others grow old.
	damaged map[string]struct{}
}

// lag is of a set that was not the store's.
type lag struct {
	since   time.Time // when it was last
	version uint64    // the store's
	ahead   bool      // the set's was later
}

// Age returns how long ago all published sets were known to be the store's, but for those
// that are damaged there. It is very long before the first Load.
func (p *Publisher) Age() time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return time.Since(p.oldest(p.setOf))
}

// AgeOf is Age for one workspace's set.
func (p *Publisher) AgeOf(workspace string) time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return time.Since(p.currentAt(workspace, p.setOf(workspace)))
}

// Unread reports whether a workspace is there and its set could not be read yet.
func (p *Publisher) Unread(workspace string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, late := p.ages.late[workspace]
	return late && p.setOf(workspace) == nil
}

// setOf returns the set that is shown, or nil. The caller holds mu, which does not prevent
// another set from being shown meanwhile.
func (p *Publisher) setOf(workspace string) *Set {
	pub := p.sets[workspace]
	if pub == nil {
		return nil
	}
	index := pub.index.Load()
	if index == nil {
		return nil
	}
	return index.Set()
}

// oldest returns the earliest of currentAt for these sets. The caller holds mu.
func (p *Publisher) oldest(sets func(workspace string) *Set) time.Time {
	oldest := p.ages.checked
	for workspace := range p.ages.late {
		_, damaged := p.ages.damaged[workspace]
		if at := p.currentAt(workspace, sets(workspace)); !damaged && at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// currentAt returns when this set of a workspace was last known to be the store's. Its
// caller holds mu.
func (p *Publisher) currentAt(workspace string, set *Set) time.Time {
	l, is := p.ages.late[workspace]
	if !is {
		return p.ages.checked
	}
	if set != nil && set.Version() >= l.version && (!l.ahead || set.Version() == l.version) {
		return p.ages.checked
	}
	return l.since
}

// note takes in the store's versions that were read from a time on: those of the
// sets that had others.
func (p *Publisher) note(start time.Time, behind, ahead map[string]uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !start.After(p.ages.checked) {
		return // another read them later
	}
	late := make(map[string]lag, len(behind)+len(ahead))
	add := func(versions map[string]uint64, isAhead bool) {
		for workspace, version := range versions {
			since := p.currentAt(workspace, p.setOf(workspace))
			if since.IsZero() { // never: it is counted from the beginning
				since = start
			}
			late[workspace] = lag{since, version, isAhead}
		}
	}
	add(behind, false)
	add(ahead, true)
	damaged := make(map[string]struct{})
	for workspace := range p.ages.damaged {
		if _, is := late[workspace]; is {
			damaged[workspace] = struct{}{}
		}
	}
	p.ages = ages{checked: start, late: late, damaged: damaged}
}

// noteRead takes in what came of reading a workspace's set.
func (p *Publisher) noteRead(workspace string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, late := p.ages.late[workspace]
	switch {
	case err == nil:
		delete(p.ages.damaged, workspace)
	case late && errors.Is(err, store.ErrDamaged):
		p.ages.damaged[workspace] = struct{}{}
	}
}
