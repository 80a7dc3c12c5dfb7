package jwks

import (
	"sync"
	"sync/atomic"
)

// shares are the limits that keys share. Only the goroutine that changes the Table writes; readers need no lock.
// A change of one set does not copy the others, since a workspace can have a set for each owner.
type shares [6]atomic.Pointer[sync.Map] // of the subject's name to *LimitSet; nil: never had a set

// on returns the sets of a kind of subject. The kinds are apart, since most decisions find no set for most of them.
func (s *shares) on(kind string) *atomic.Pointer[sync.Map] {
	switch kind {
	case OnPlan:
		return &s[0]
	case OnOwner:
		return &s[1]
	case OnRoute:
		return &s[2]
	case OnAddress:
		return &s[3]
	case OnTotal:
		return &s[4]
	}
	return &s[5] // unknown: LimitSet.Check refuses it
}

type subject struct{ on, name string }

func (s *LimitSet) subject() subject { return subject{s.On, s.Name} }

// LimitSet returns the rules of a set, nil if there is no set. It takes no lock. The rules must not be changed.
func (t *Table) LimitSet(on, name string) []Limit {
	if set := t.shared.find(subject{on, name}); set != nil {
		return set.Limits
	}
	return nil
}

func (s *shares) find(of subject) *LimitSet {
	sets := s.on(of.on).Load()
	if sets == nil {
		return nil
	}
	if set, ok := sets.Load(of.name); ok {
		return set.(*LimitSet)
	}
	return nil
}

// replace replaces the set with the same subject, or deletes it if set has no rules. It toggles the prints of both.
func (s *shares) replace(set LimitSet, print *Fingerprint) {
	if before := s.find(set.subject()); before != nil {
		old := before.Print()
		print.Toggle((*KID)(&old))
	}
	if len(set.Limits) > 0 {
		now := set.Print()
		print.Toggle((*KID)(&now))
	}
	s.store(set)
}

func (s *shares) store(set LimitSet) {
	kind := s.on(set.On)
	sets := kind.Load()
	if sets == nil {
		if len(set.Limits) == 0 {
			return
		}
		sets = new(sync.Map)
		kind.Store(sets)
	}
	if len(set.Limits) == 0 {
		sets.Delete(set.Name)
	} else {
		sets.Store(set.Name, &set)
	}
}

// Settings returns the workspace's settings. Only the feed contains them: otherwise known is false. It takes no lock.
func (t *Table) Settings() (settings Settings, known bool) {
	if s := t.settings.Load(); s != nil {
		return *s, true
	}
	return Settings{}, false
}

// settle replaces the settings and toggles the prints of both.
func (t *Table) settle(settings *Settings, print *Fingerprint) {
	if before := t.settings.Load(); before != nil {
		old := before.Print()
		print.Toggle((*KID)(&old))
	}
	now := settings.Print()
	print.Toggle((*KID)(&now))
	t.settings.Store(settings)
}

// all returns the sets in any order.
func (s *shares) all() (all []LimitSet) {
	for i := range s {
		if sets := s[i].Load(); sets != nil {
			sets.Range(func(_, set any) bool { all = append(all, *set.(*LimitSet)); return true })
		}
	}
	return all
}

func (s *shares) clear() {
	for i := range s {
		s[i].Store(nil)
	}
}
