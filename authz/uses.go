package authz

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// usesEvery is how often uses are stored, so a server that is killed loses at most those of this time.
const usesEvery = 10 * time.Second

// uses has the last use of each key by an exchange or introspection at this server, until it is stored. No request waits for that.
// Each key has at most one entry, so the number of keys bounds it.
type uses struct {
	mu   sync.Mutex
	last map[string]map[jwks.KID]time.Time // by workspace; not stored yet
}

func (u *uses) record(workspace string, at time.Time, keys ...*store.Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = make(map[string]map[jwks.KID]time.Time)
	}
	if u.last[workspace] == nil {
		u.last[workspace] = make(map[jwks.KID]time.Time)
	}
	for _, k := range keys {
		u.last[workspace][k.KID] = at
	}
}

func (u *uses) workspaces() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.last))
}

func (u *uses) of(workspace string) []store.Use {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]store.Use, 0, len(u.last[workspace]))
	for kid, at := range u.last[workspace] {
		list = append(list, store.Use{KID: kid, At: at})
	}
	return list
}

func (u *uses) has(k *store.Key) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, is := u.last[k.Workspace][k.KID]
	return is
}

// stored removes uses that have been stored, unless the key has been used again since.
func (u *uses) stored(workspace string, list []store.Use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := u.last[workspace]
	for _, use := range list {
		if last[use.KID].Equal(use.At) {
			delete(last, use.KID)
		}
	}
	if len(last) == 0 {
		delete(u.last, workspace)
	}
}

// RunUses stores uses at an interval (zero: 10 seconds), and once more when the context ends. The log can be nil.
func (s *Service) RunUses(ctx context.Context, every time.Duration, log *slog.Logger) {
	log = cmp.Or(log, slog.New(slog.DiscardHandler))
	storing := loop.Loop{
		Every: cmp.Or(every, usesEvery), WaitFirst: true, Log: log, Level: slog.LevelWarn,
		Failure: "cannot store the uses of keys; trying again",
	}
	storing.Run(ctx, s.storeAllUses)
	ctx, cancel := settle(ctx)
	defer cancel()
	if err := s.storeAllUses(ctx); err != nil {
		log.Warn("the latest uses of keys were not stored", "error", err)
	}
}

func (s *Service) storeAllUses(ctx context.Context) error {
	var errs []error
	for _, workspace := range s.uses.workspaces() {
		errs = append(errs, s.storeUses(ctx, workspace))
	}
	return errors.Join(errs...)
}

// storeUses stores a workspace's uses as a partial report, since most requests with the same keys do not reach this server.
func (s *Service) storeUses(ctx context.Context, workspace string) error {
	ctx = store.Under(ctx, store.Authority{}) // the server itself
	for list := range slices.Chunk(s.uses.of(workspace), jwks.MaxReport) {
		_, err := s.store.RecordUsage(ctx, workspace, list, store.Report{At: s.Now(), Partial: true})
		if err != nil && !errors.Is(err, ErrNotFound) { // a restored database may not have the workspace
			return err
		}
		s.uses.stored(workspace, list)
	}
	return nil
}
