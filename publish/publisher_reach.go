package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Apply publishes a change that was just committed. Where an earlier one is
// still to come, it reads up to this one; where that fails, Follow will.
func (p *Publisher) Apply(ctx context.Context, workspace string, c jwks.Change) {
	if index, ok := p.Index(workspace); ok && index.Apply(c) == nil {
		p.changed(workspace)
		return
	}
	if err := p.Reach(ctx, workspace, c.Version); err != nil {
		p.failures.Inc()
	}
}

// Reach returns nil once the set that is published has at least this version.
// Its errors are the store's, the context's, and that of a store which does not
// show this version; the set then stays a good one.
func (p *Publisher) Reach(ctx context.Context, workspace string, version uint64) error {
	pub := p.entry(workspace)
	if pub.reached(version) {
		return nil
	}
	leave, err := pub.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if pub.reached(version) {
		return nil
	}
	err = p.byLog(ctx, workspace, version)
	if needsWhole(err) {
		err = p.whole(ctx, workspace, version, err)
	}
	if errors.Is(err, store.ErrNotFound) {
		p.forget(workspace)
	}
	return err
}

// byLog brings a set to the end of the log and at least to a version. Errors:
// errAway and errDiverged, which take a look at the whole set; the store's.
func (p *Publisher) byLog(ctx context.Context, workspace string, version uint64) error {
	index, ok := p.Index(workspace)
	if !ok {
		return errAway
	}
	for {
		n, err := p.readChanges(ctx, workspace, index)
		switch {
		case err != nil:
			return err
		case n < changesAtOnce && index.Set().Version() >= version:
			return nil
		case n == 0:
			return errAway
		}
	}
}

func needsWhole(err error) bool { return errors.Is(err, errAway) || errors.Is(err, errDiverged) }

// whole brings a set at least to a version by reading it whole, for a reason that
// byLog gave.
func (p *Publisher) whole(ctx context.Context, workspace string, version uint64, reason error) error {
	index, ok := p.Index(workspace)
	if !ok || !errors.Is(reason, errDiverged) {
		return p.read(ctx, workspace, version)
	}
	if err := p.readAnew(ctx, workspace, index); err != nil {
		return err
	}
	return notYet(workspace, index.Set().Version(), version)
}

// notYet is nil if a set has at least this version.
func notYet(workspace string, has, least uint64) error {
	if has >= least {
		return nil
	}
	return fmt.Errorf("read the set of %s: the store shows version %d, not yet %d", workspace, has, least)
}

// Why the log does not lead from the set that is published to the store's.
var (
	errAway     = errors.New("the change log does not reach back to the published set")
	errDiverged = errors.New("the change log does not fit the published set")
)

// readChanges reads one page of the log and returns how many new changes it had.
// It begins with the change that led to the published set: after a failover that
// lost a commit, or a restored backup, the same version may be another change's.
func (p *Publisher) readChanges(ctx context.Context, workspace string, index *Index) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	set := index.Set()
	from := set.Version()
	changes, err := p.store.Changes(ctx, workspace, max(from, 1)-1, changesAtOnce+1)
	switch {
	case errors.Is(err, store.ErrCompacted):
		return 0, errAway // no fault
	case errors.Is(err, store.ErrDamaged):
		p.divergences.Inc()
		return 0, errDiverged
	case err != nil:
		return 0, err
	}
	if len(changes) > 0 && changes[0].Version == from {
		if !endsWith(set, changes[0]) {
			p.divergences.Inc()
			return 0, errDiverged
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
			return 0, errAway
		default:
			p.divergences.Inc()
			return 0, errDiverged
		}
	}
	return len(changes), nil
}

// endsWith reports whether a change may have led to the set.
func endsWith(set *Set, c jwks.Change) bool {
	published := func(kid jwks.KID) bool { _, ok := set.Lookup(kid); return ok }
	return !slices.ContainsFunc(c.Remove, published) &&
		!slices.ContainsFunc(c.Add, func(key jwks.Key) bool { return !published(key.KID()) })
}

// read loads a whole set, which must have at least this version.
func (p *Publisher) read(ctx context.Context, workspace string, least uint64) error {
	set, err := p.readSet(ctx, workspace)
	if err != nil {
		return err
	}
	if err := notYet(workspace, set.Version(), least); err != nil {
		return err
	}
	pub := p.entry(workspace)
	if !pub.index.CompareAndSwap(nil, NewIndex(set)) {
		pub.index.Load().Replace(set)
	}
	p.changed(workspace)
	return nil
}

func (p *Publisher) readSet(ctx context.Context, workspace string) (*Set, error) {
	var builder Builder
	version, err := p.store.Published(ctx, workspace, builder.Add)
	p.noteRead(workspace, err)
	if err != nil {
		return nil, fmt.Errorf("read the set of %s: %w", workspace, err)
	}
	set, err := builder.Set(version)
	if err != nil {
		return nil, fmt.Errorf("read the set of %s: %w", workspace, err)
	}
	return set, nil
}
