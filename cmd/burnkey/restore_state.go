package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// readState compares the restored sets with those that a gateway had.
func (p *restorePlan) readState(ctx context.Context, file string) error {
	sets, err := jwks.ReadState(file)
	if err != nil {
		return err
	}
	used := false
	for _, w := range p.workspaces {
		set, feed := stateOf(sets, w.ID, file)
		if set != nil && set.Version() > w.Version {
			used = true
			if err := p.compareSet(ctx, w.ID, set, feed, file); err != nil {
				return err
			}
		}
	}
	if !used {
		return fmt.Errorf("%s: no set in it is later than the restored database", file)
	}
	return nil
}

// stateOf returns the set of a workspace in a state file, or nil, and whether it is from the feed.
func stateOf(sets map[string]*jwks.Table, workspace, file string) (set *jwks.Table, feed bool) {
	if set, feed = sets[workspace]; !feed && strings.TrimSuffix(filepath.Base(file), ".jwks") == workspace {
		set = sets[""] // the state of one workspace does not name it
	}
	return set, feed
}

// isGone reports whether a set does not have a key. Only those from the feed have imported keys.
func isGone(kid jwks.KID, set *jwks.Table, feed bool) bool {
	if kid.IsImported() && !feed {
		return false
	}
	_, has := set.Attributes(kid)
	return !has
}

// compareSet finds the keys that the restored database publishes and the later set does not have.
func (p *restorePlan) compareSet(ctx context.Context, workspace string, set *jwks.Table, feed bool, file string) error {
	for k, err := range keysOf(ctx, p.store, workspace) {
		if err != nil {
			return err
		}
		if isGone(k.KID, set, feed) && k.Status(p.now) != store.Expired && k.SuspendedAt.IsZero() {
			p.addKey(k, actRevoke, fmt.Sprintf("missing in %s at version %d", filepath.Base(file), set.Version()), nil)
		}
	}
	return nil
}
