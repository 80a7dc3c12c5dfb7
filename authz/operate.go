package authz

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	// ExpiresSoon is the time before its expiry during which an overview counts a key as expiring.
	ExpiresSoon = 30 * 24 * time.Hour
	// RefusedLately is the period, up to now, whose refusals an overview counts.
	RefusedLately = 24 * time.Hour
	// MostCounted bounds the keys that an overview counts, and MostEvents its requests and refusals.
	MostCounted = 200_000
	MostEvents  = 1000
	// sameID bounds the keys with one id, of different workspaces.
	sameID = 16
)

// KeysInOrder lists keys like Keys, in an order. The cursor next is empty at the end. Errors: those of Keys, and
// store.ErrCursor.
func (s *Service) KeysInOrder(ctx context.Context, workspace string, f store.Filter, o store.Order, reverse bool, after string) (
	[]store.Key, string, error,
) {
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return nil, "", err
	}
	f.Now, f.Rows = s.Now(), rowsATurn
	p, err := pageOf(ctx, s.reads, workspace, after, f.Limit, f.Narrows(), sizeOfKey,
		func(ctx context.Context, after string, limit, bytes int) ([]store.Key, string, error) {
			f := f
			f.Limit, f.Bytes = limit, bytes
			return s.store.KeysInOrder(ctx, workspace, f, o, reverse, after)
		})
	return p.items, p.next, err
}

// Overview counts a workspace's keys by state, its open requests and the latest refusals. Errors: ErrNotFound,
// *CrowdedError.
func (s *Service) Overview(ctx context.Context, workspace string) (o store.Overview, err error) {
	if err := s.reads.admit(ctx, workspace); err != nil {
		return o, err
	}
	now := s.Now()
	err = s.reads.turn(ctx, workspace, func() (err error) {
		o, err = s.store.Overview(ctx, workspace, store.OverviewQuery{
			Now: now, ExpiringBefore: now.Add(ExpiresSoon), RefusedSince: now.Add(-RefusedLately), Most: MostCounted, MostEvents: MostEvents,
		})
		return err
	})
	return o, err
}

// FindKey returns the key whose id, kid or digest is in a string, in any workspace for which `may` returns true. Errors:
// InputError if the string has no such name, ErrNotFound.
func (s *Service) FindKey(ctx context.Context, text string, may func(workspace string) bool) (store.Key, error) {
	if d, err := jwks.ParseDigest(strings.TrimSpace(text)); err == nil {
		return s.digested(ctx, d, may)
	}
	name, _ := NameIn(text)
	kid, noKID := jwks.ParseKID(name)
	id, isID := store.ParseID(name)
	switch {
	case noKID == nil:
		id = uuid.Nil
	case !isID:
		return store.Key{}, Invalid("key", RuleNotIDOrKID)
	}
	keys, err := s.store.KeysAnywhere(ctx, id, kid, sameID)
	if err != nil {
		return store.Key{}, err
	}
	at := slices.IndexFunc(keys, func(k store.Key) bool { return may(k.Workspace) })
	if at < 0 {
		return store.Key{}, ErrNotFound
	}
	return keys[at], nil
}
