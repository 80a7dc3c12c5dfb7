package publish

import (
	"errors"
	"time"

	"github.com/burnkey/burnkey/store"
)

// ages records when each published set was last known to be up to date. The lock of its Publisher protects it.
type ages struct {
	// checked is when the store's versions were last read.
	checked time.Time
	// lagging contains the workspaces whose sets had another version than the store at the time checked.
	lagging map[string]lag
	// damaged contains the lagging workspaces whose sets can't be read until they are repaired. Age does
	// not include them, because otherwise they would hide that other sets are old.
	damaged map[string]struct{}
}

// lag describes a set whose version differed from the store's version.
type lag struct {
	since   time.Time // when it was last up to date
	version uint64    // the store's
	newer   bool      // the set's version was later
}

// Age returns the time since all published sets, except damaged sets, were last known to be up to date. It
// is very long before the first Load.
func (p *Publisher) Age() time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return time.Since(p.oldest(p.setOf))
}

// AgeOf is like Age for one workspace's set.
func (p *Publisher) AgeOf(workspace string) time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return time.Since(p.currentAt(workspace, p.setOf(workspace)))
}

// Unread reports whether a workspace exists but its set has not been read yet.
func (p *Publisher) Unread(workspace string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, lagging := p.ages.lagging[workspace]
	return lagging && p.setOf(workspace) == nil
}

// setOf returns the published set, or nil. The caller holds mu, which does not prevent another set from
// being published.
func (p *Publisher) setOf(workspace string) *Set {
	if pub := p.sets[workspace]; pub != nil {
		return pub.set()
	}
	return nil
}

// oldest returns when all of these sets, except damaged ones, were last known to be up to date. The caller
// holds mu.
func (p *Publisher) oldest(sets func(workspace string) *Set) time.Time {
	oldest := p.ages.checked
	for workspace := range p.ages.lagging {
		_, damaged := p.ages.damaged[workspace]
		if at := p.currentAt(workspace, sets(workspace)); !damaged && at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

// currentAt returns when this set of a workspace was last known to be up to date. The caller holds mu.
func (p *Publisher) currentAt(workspace string, set *Set) time.Time {
	l, is := p.ages.lagging[workspace]
	if !is {
		return p.ages.checked
	}
	if set != nil && set.Version() >= l.version && (!l.newer || set.Version() == l.version) {
		return p.ages.checked
	}
	return l.since
}

// noteVersions records a comparison with the store that began at start. older and newer contain the store's
// versions of the older and newer sets.
func (p *Publisher) noteVersions(start time.Time, older, newer map[string]uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !start.After(p.ages.checked) {
		return // another call read them later
	}
	lagging := make(map[string]lag, len(older)+len(newer))
	add := func(versions map[string]uint64, isNewer bool) {
		for workspace, version := range versions {
			since := p.currentAt(workspace, p.setOf(workspace))
			if since.IsZero() { // never: count from now
				since = start
			}
			lagging[workspace] = lag{since, version, isNewer}
		}
	}
	add(older, false)
	add(newer, true)
	damaged := make(map[string]struct{})
	for workspace := range p.ages.damaged {
		if _, is := lagging[workspace]; is {
			damaged[workspace] = struct{}{}
		}
	}
	p.ages = ages{checked: start, lagging: lagging, damaged: damaged}
}

// noteRead records whether a workspace's set could be read.
func (p *Publisher) noteRead(workspace string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, lagging := p.ages.lagging[workspace]
	switch {
	case err == nil:
		delete(p.ages.damaged, workspace)
	case lagging && errors.Is(err, store.ErrDamaged):
		p.ages.damaged[workspace] = struct{}{}
	}
}
