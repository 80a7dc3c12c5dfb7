package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ErrDiverged: a published set was not the store's. It is by now.
var ErrDiverged = errors.New("the published set was not the store's and was read anew")

func (p *Publisher) checkAll(ctx context.Context) error {
	var errs []error
	for workspace := range p.versions() {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, p.Check(ctx, workspace))
	}
	return errors.Join(errs...)
}

// Check compares a published set with all that the store has, kid by kid, in
// memory that does not grow with the set. A set that is not the store's is
// counted, read anew and told of as ErrDiverged.
func (p *Publisher) Check(ctx context.Context, workspace string) error {
	index, ok := p.Index(workspace)
	if !ok {
		return nil
	}
	d := newDifference(index.Set())
	version, err := p.store.Published(ctx, workspace, d.see)
	d.end()
	if err != nil && !errors.Is(err, errMany) {
		return fmt.Errorf("compare the set of %s: %w", workspace, err)
	}
	if err == nil {
		if same, err := p.explained(ctx, workspace, d, version); same || err != nil {
			return err
		}
	}
	p.divergences.Inc()
	if err := p.readAnew(ctx, workspace, index); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s at version %d", ErrDiverged, workspace, d.set.Version())
}

// swapTries bounds how often a set that was read anew is brought up to what was
// published meanwhile.
const swapTries = 100

// readAnew shows the store's set, whatever is shown now. It must not undo a
// change that is published while the store is read.
func (p *Publisher) readAnew(ctx context.Context, workspace string, index *Index) error {
	truth, err := p.readSet(ctx, workspace)
	if err != nil {
		return err
	}
	for range swapTries {
		shown := index.Set()
		if truth, err = p.advance(ctx, workspace, truth); err != nil {
			return err
		}
		if index.Swap(shown, truth) {
			p.changed(workspace)
			return nil
		}
	}
	return fmt.Errorf("read the set of %s anew: it changes too fast", workspace)
}

// advance returns the set with all changes that the log has behind it.
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

// errMany ends a comparison that need not go on.
var errMany = errors.New("the sets differ in too many keys")

// maxDifference is how many kids a difference keeps. A set is compared moments
// after it was brought up to date: it can be this far behind only by a fault.
const maxDifference = 100_000

// difference finds the kids that a set has and the store has not, or the other
// way round, as the store yields its keys.
type difference struct {
	set    *Set
	next   func() (jwks.KID, bool)
	stop   func()
	kid    jwks.KID // the set's next
	some   bool     // there is one
	differ map[jwks.KID]struct{}
}

func newDifference(set *Set) *difference {
	d := &difference{set: set, differ: make(map[jwks.KID]struct{})}
	d.next, d.stop = iter.Pull(set.KIDs)
	d.kid, d.some = d.next()
	return d
}

// see takes the store's next key.
func (d *difference) see(key jwks.Key) error {
	kid := key.KID()
	for d.some && bytes.Compare(d.kid[:], kid[:]) < 0 {
		d.differ[d.kid] = struct{}{}
		d.kid, d.some = d.next()
	}
	if d.some && d.kid == kid {
		d.kid, d.some = d.next()
	} else {
		d.differ[kid] = struct{}{}
	}
	if len(d.differ) > maxDifference {
		return errMany
	}
	return nil
}

// end takes what the set has behind the store's last.
func (d *difference) end() {
	for d.some && len(d.differ) <= maxDifference {
		d.differ[d.kid] = struct{}{}
		d.kid, d.some = d.next()
	}
	d.stop()
}

// explained reports whether the log leads from the set that was compared to what
// the store had at a version: it may have gone on meanwhile.
func (p *Publisher) explained(ctx context.Context, workspace string, d *difference, version uint64) (bool, error) {
	then, touched := d.set, make(map[jwks.KID]struct{})
	for then.Version() < version {
		changes, err := p.store.Changes(ctx, workspace, then.Version(), 1)
		if errors.Is(err, store.ErrCompacted) || errors.Is(err, store.ErrDamaged) || err == nil && len(changes) == 0 {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if then, err = then.Apply(changes[0]); err != nil {
			return false, nil // what does not apply explains nothing
		}
		for _, key := range changes[0].Add {
			touched[key.KID()] = struct{}{}
		}
		for _, kid := range changes[0].Remove {
			touched[kid] = struct{}{}
		}
	}
	for kid := range d.differ {
		touched[kid] = struct{}{}
	}
	for kid := range touched {
		_, had := d.set.Lookup(kid)
		_, differed := d.differ[kid]
		if _, has := then.Lookup(kid); has != (had != differed) {
			return false, nil
		}
	}
	return then.Version() == version, nil
}
