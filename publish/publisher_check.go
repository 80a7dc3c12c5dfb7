package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ErrDiverged means that a published set differed from the set in the store and was replaced.
var ErrDiverged = errors.New("the published set differed from the database and was replaced")

// checkAll compares all published sets with the store's fingerprints, and calls Check for those that differ.
func (p *Publisher) checkAll(ctx context.Context) error {
	prints := make(map[string]versionPrint)
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := p.store.Versions(reading, func(workspace string, version uint64, print jwks.Fingerprint) error {
		prints[workspace] = versionPrint{version, print}
		return nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for workspace, stored := range prints {
		if ctx.Err() != nil {
			break
		}
		set, ok := p.Set(workspace)
		if !ok {
			continue
		}
		agrees, err := p.agrees(ctx, workspace, set, stored)
		if err == nil && !agrees {
			err = p.Check(ctx, workspace)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// versionPrint is the version and the fingerprint of a set.
type versionPrint struct {
	version uint64
	print   jwks.Fingerprint
}

// agrees reports whether a set has the stored fingerprint. If their versions differ, the changes between
// the two versions must account for the difference.
func (p *Publisher) agrees(ctx context.Context, workspace string, set *Set, stored versionPrint) (bool, error) {
	print := set.storedPrint()
	from, to := min(set.Version(), stored.version), max(set.Version(), stored.version)
	changes, err := p.between(ctx, workspace, from, to)
	for _, c := range changes {
		if len(c.Unsigned.Imported) > 0 { // which may be new or not: the next check compares again
			return true, nil
		}
		toggleKeys(&print, c)
		for i := range c.Unsigned.Dropped {
			print.Toggle(&c.Unsigned.Dropped[i])
		}
		from = c.Version
	}
	return err == nil && from == to && print == stored.print, err
}

// between returns the changes after one version up to another, or fewer if the log does not have them all.
func (p *Publisher) between(ctx context.Context, workspace string, from, to uint64) ([]jwks.Change, error) {
	if from == to {
		return nil, nil
	}
	changes, err := p.Changes(ctx, workspace, from, changesAtOnce)
	if err != nil && !unusable(err) {
		return nil, err
	}
	return changes[:min(uint64(len(changes)), to-from)], nil
}

func toggleKeys(print *jwks.Fingerprint, c jwks.Change) {
	for _, key := range c.Add {
		kid := key.KID()
		print.Toggle(&kid)
	}
	for i := range c.Remove {
		print.Toggle(&c.Remove[i])
	}
}

// equal is like agrees for two sets of keys with their attributes and shared limits.
func (p *Publisher) equal(ctx context.Context, workspace string, a, b *Set) (bool, error) {
	if a.Version() > b.Version() {
		a, b = b, a
	}
	changes, err := p.between(ctx, workspace, a.Version(), b.Version())
	if err != nil {
		return false, err
	}
	for _, c := range changes {
		if a, err = a.Apply(c); err != nil {
			return false, nil // the older set does not lead to the later
		}
	}
	return a.Version() == b.Version() && a.print == b.print && a.feedPrint == b.feedPrint, nil
}

// unusable reports whether an error of store.Changes means that the log can't be used.
func unusable(err error) bool {
	return errors.Is(err, store.ErrCompacted) || errors.Is(err, store.ErrDamaged)
}

// Check compares a published set with all keys in the store. If the set differs, Check counts the
// divergence, replaces the set, and returns ErrDiverged.
func (p *Publisher) Check(ctx context.Context, workspace string) error {
	index, ok := p.Index(workspace)
	if !ok {
		return nil
	}
	set := index.Set()
	stored, err := p.readSet(ctx, workspace)
	if err != nil {
		return err
	}
	agrees, err := p.equal(ctx, workspace, set, stored)
	if agrees || err != nil {
		return err
	}
	p.divergences.Inc()
	if err := p.replace(ctx, workspace, index, stored); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s at version %d", ErrDiverged, workspace, set.Version())
}

// swapTries bounds how often replace tries again because another change was published meanwhile.
const swapTries = 100

// replace replaces the published set by a set that was read from the store, plus the changes made since.
func (p *Publisher) replace(ctx context.Context, workspace string, index *Index, set *Set) (err error) {
	for range swapTries {
		shown := index.Set()
		if set, err = p.advance(ctx, workspace, set); err != nil {
			return err
		}
		if index.Swap(shown, set) {
			p.changed(workspace)
			return nil
		}
	}
	return fmt.Errorf("replace the set of %s: it changes too fast", workspace)
}

// advance returns the set after all later changes in the log.
func (p *Publisher) advance(ctx context.Context, workspace string, set *Set) (*Set, error) {
	for {
		changes, err := p.store.Changes(ctx, workspace, set.Version(), changesAtOnce)
		if err != nil || len(changes) == 0 {
			return set, err
		}
		for _, c := range changes {
			if set, err = set.Apply(c); err != nil {
				return nil, err
			}
		}
	}
}
