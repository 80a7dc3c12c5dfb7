package authz

import "github.com/burnkey/burnkey/store"

// MaxLife returns the longest life of a workspace's keys, in seconds.
func MaxLife(w *store.Workspace) int64 {
	if w.Policy.MaxExpiresIn > 0 {
		return w.Policy.MaxExpiresIn
	}
	return MaxExpiresIn
}

// DefaultLife returns the life of keys for which none was requested, in seconds: MaxLife at most.
func DefaultLife(w *store.Workspace) int64 {
	if w.Policy.DefaultExpiresIn > 0 {
		return w.Policy.DefaultExpiresIn
	}
	return min(DefaultExpiresIn, MaxLife(w))
}

// MayNeverExpire reports whether a workspace's keys may have no expiry, which a maximum rules out.
func MayNeverExpire(w *store.Workspace) bool {
	return w.AllowNeverExpires && w.Policy.MaxExpiresIn == 0
}

func (e *InputError) refuseNeverExpires(w *store.Workspace) {
	if w.AllowNeverExpires {
		e.Add("never_expires", RuleNeverExpiresLimit, "max", MaxLife(w))
		return
	}
	e.Add("never_expires", RuleNeverExpires)
}

func (e *InputError) expiry(w *store.Workspace, r IssueRequest) int64 {
	switch {
	case r.NeverExpires && r.ExpiresIn != nil:
		e.Add("expires_in", RuleExpiresTwice)
	case r.NeverExpires && !MayNeverExpire(w):
		e.refuseNeverExpires(w)
	case r.NeverExpires:
		return 0
	case r.ExpiresIn == nil:
		return DefaultLife(w)
	case *r.ExpiresIn < 1 || *r.ExpiresIn > MaxLife(w):
		*e = append(*e, lifeError(MaxLife(w))...)
	default:
		return *r.ExpiresIn
	}
	return 0
}

func lifeError(most int64) InputError {
	var bad InputError
	bad.Add("expires_in", RuleSecondsOutOfRange, "min", 1, "max", most)
	return bad
}
