package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Apply publishes a change that was just committed. If an earlier change has not been published yet, Apply
// reads the log; if that fails, Follow will read it later.
func (p *Publisher) Apply(ctx context.Context, workspace string, c jwks.Change) {
	if index, ok := p.Index(workspace); ok && index.Apply(c) == nil {
		p.changed(workspace)
		return
	}
	if err := p.Reach(ctx, workspace, c.Version); err != nil {
		p.failures.Inc()
	}
}

// Reach updates a set to at least this version. It returns an error if the store fails or does not have
// this version, or if the context ends; the last good set then stays published.
func (p *Publisher) Reach(ctx context.Context, workspace string, version uint64) error {
	pub := p.entry(workspace)
	if pub.reached(version) {
		return nil
	}
	return withPlace(ctx, pub.updating, func() error {
		if pub.reached(version) {
			return nil
		}
		err := p.applyLog(ctx, workspace, version)
		if needsSet(err) {
			err = p.reload(ctx, workspace, version, err)
		}
		if errors.Is(err, store.ErrNotFound) {
			p.forget(workspace)
		}
		return err
	})
}

// applyLog brings a set to the end of the log, and at least to a version. After errGap or errMismatch, the
// whole set must be read. Other errors come from the store.
func (p *Publisher) applyLog(ctx context.Context, workspace string, version uint64) error {
	index, ok := p.Index(workspace)
	if !ok {
		return errGap
	}
	for {
		n, err := p.readChanges(ctx, workspace, index)
		switch {
		case err != nil:
			return err
		case n < changesAtOnce && index.Set().Version() >= version:
			return nil
		case n == 0:
			return errGap
		}
	}
}

func needsSet(err error) bool { return errors.Is(err, errGap) || errors.Is(err, errMismatch) }

// reload reads a whole set, which must have at least the given version. reason is the error of applyLog.
func (p *Publisher) reload(ctx context.Context, workspace string, version uint64, reason error) error {
	set, err := p.readSet(ctx, workspace)
	if err != nil {
		return err
	}
	index, ok := p.Index(workspace)
	if ok && errors.Is(reason, errMismatch) {
		if err := p.replace(ctx, workspace, index, set); err != nil {
			return err
		}
		return atLeast(workspace, index.Set().Version(), version)
	}
	if err := atLeast(workspace, set.Version(), version); err != nil {
		return err
	}
	pub := p.entry(workspace)
	fresh := NewIndex(set)
	fresh.workspace, fresh.mark = workspace, func() { p.mark(workspace) }
	if !pub.index.CompareAndSwap(nil, fresh) {
		pub.index.Load().Replace(set)
	}
	p.mark(workspace) // which may be new
	p.changed(workspace)
	return nil
}

// atLeast returns an error if a set that was read has a version below least.
func atLeast(workspace string, has, least uint64) error {
	if has >= least {
		return nil
	}
	return fmt.Errorf("read the set of %s: the database has version %d, not yet %d", workspace, has, least)
}

// Reasons why the log can't be applied to the published set.
var (
	errGap      = errors.New("the change log does not reach back to the published set")
	errMismatch = errors.New("the change log does not match the published set")
)

// readChanges applies one page of the log and returns its number of changes. The page begins with the last
// published change, so that it can be compared: after a failover that lost a commit, or a restored backup,
// another change can have the same version.
func (p *Publisher) readChanges(ctx context.Context, workspace string, index *Index) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	set := index.Set()
	from := set.Version()
	changes, err := p.store.Changes(ctx, workspace, max(from, 1)-1, changesAtOnce+1)
	switch {
	case errors.Is(err, store.ErrCompacted):
		return 0, errGap // not a fault
	case errors.Is(err, store.ErrDamaged):
		p.divergences.Inc()
		return 0, errMismatch
	case err != nil:
		return 0, err
	}
	if len(changes) > 0 && changes[0].Version == from {
		if !endsWith(set, changes[0]) {
			p.divergences.Inc()
			return 0, errMismatch
		}
		changes = changes[1:]
	}
	if len(changes) > 0 {
		defer p.changed(workspace)
	}
	for _, c := range changes {
		err := index.Apply(c)
		switch {
		case err == nil || index.Set().Version() >= c.Version:
		case errors.Is(err, jwks.ErrVersionGap):
			return 0, errGap
		default:
			p.divergences.Inc()
			return 0, errMismatch
		}
	}
	return len(changes), nil
}

// endsWith reports whether a change can be the last change that led to a set.
func endsWith(set *Set, c jwks.Change) bool {
	published := func(kid jwks.KID) bool { _, ok := set.Lookup(kid); return ok }
	return !slices.ContainsFunc(c.Remove, published) &&
		!slices.ContainsFunc(c.Add, func(key jwks.Key) bool { return !published(key.KID()) }) && endsWithUnsigned(set, &c.Unsigned)
}

func endsWithUnsigned(set *Set, u *jwks.Unsigned) bool {
	for i := range u.Set {
		if !set.hasAttributes(&u.Set[i]) {
			return false
		}
	}
	for i := range u.Limits {
		if !set.has(&u.Limits[i]) {
			return false
		}
	}
	return (u.Settings == nil || set.settings.Equal(u.Settings)) && set.imports.endsWith(u)
}

func (p *Publisher) readSet(ctx context.Context, workspace string) (*Set, error) {
	var builder Builder
	version, unsigned, err := p.store.Published(ctx, workspace, builder.Add)
	p.noteRead(workspace, err)
	if err != nil {
		return nil, fmt.Errorf("read the set of %s: %w", workspace, err)
	}
	for _, limits := range unsigned.Limits {
		builder.Share(limits)
	}
	if unsigned.Settings != nil {
		builder.Settle(*unsigned.Settings)
	}
	for _, key := range unsigned.Imported {
		builder.Import(key)
	}
	set, err := builder.Set(version)
	if err != nil {
		return nil, fmt.Errorf("read the set of %s: %w", workspace, err)
	}
	return set, nil
}
