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
		name := w.ID
		if strings.TrimSuffix(filepath.Base(file), ".jwks") == w.ID {
			name = "" // the state of one workspace does not name it
		}
		if set := sets[name]; set != nil && set.Version() > w.Version {
			used = true
			if err := p.compareSet(ctx, w.ID, set, file); err != nil {
				return err
			}
		}
	}
	if !used {
		return fmt.Errorf("%s: no set in it is later than the restored database", file)
	}
	return nil
}

// compareSet finds the keys that the restored database publishes and the later set does not have.
func (p *restorePlan) compareSet(ctx context.Context, workspace string, set *jwks.Table, file string) error {
	for k, err := range keysOf(ctx, p.store, workspace) {
		if err != nil {
			return err
		}
		if _, published := set.Lookup(k.KID); !published && k.Status(p.now) != store.Expired && k.SuspendedAt.IsZero() {
			p.addKey(k, actRevoke, fmt.Sprintf("missing in %s at version %d", filepath.Base(file), set.Version()), nil)
		}
	}
	return nil
}
