package authz_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// The store is asked about a secret that proves nothing. One address must not take all of its time.
func TestUnprovedCallersTakeTurns(t *testing.T) {
	const address, calls, inTheStore = "192.0.2.1", 400, 64
	s := newServer(t)
	s.workspace("acme")
	unknown := alter(s.issue("acme", authz.IssueRequest{}).Token.Reveal(), 0) // a kid that no key has
	for name, call := range map[string]struct {
		method string
		run    func(context.Context) error
	}{
		"exchange": {"Workspace", func(ctx context.Context) error {
			_, err := s.Exchange(ctx, "acme", authz.ExchangeRequest{Key: jwks.Token(unknown), From: netip.MustParseAddr(address)})
			return err
		}},
		"revocation": {"KeyByKID", func(ctx context.Context) error {
			_, err := s.RevokeToken(store.By(ctx, store.Actor{Kind: store.ActorToken, From: address}), "acme", jwks.Token(unknown))
			return err
		}},
		"introspection": {"KeyByKID", func(ctx context.Context) error {
			_, err := s.Introspect(store.By(ctx, store.Actor{Kind: store.ActorKey, From: address}), "acme", jwks.Token(unknown))
			return err
		}},
		"limits": {"KeyByKID", func(ctx context.Context) error {
			_, err := s.LimitsOfToken(ctx, "acme", jwks.Token(unknown), netip.MustParseAddr(address))
			return err
		}},
		"limits of an imported key": {"KeyByDigest", func(ctx context.Context) error {
			_, err := s.LimitsOfToken(ctx, "acme", "unknown", netip.MustParseAddr(address))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var in, most, turnedAway atomic.Int64
			release := make(chan struct{})
			s.store.Hook(call.method, func(context.Context) error {
				most.Store(max(most.Load(), in.Add(1)))
				defer in.Add(-1)
				<-release
				return nil
			})
			defer s.store.Heal()
			var work sync.WaitGroup
			for range calls {
				work.Go(func() {
					var busy *authz.ExchangeBusyError
					var crowded *authz.CrowdedError
					if err := call.run(t.Context()); errors.As(err, &busy) || errors.As(err, &crowded) {
						turnedAway.Add(1)
					}
				})
			}
			testkit.Eventually(t, "some are turned away", func() bool { return turnedAway.Load() > 0 })
			close(release)
			work.Wait()
			if most.Load() > inTheStore {
				t.Errorf("%d were in the store at once", most.Load())
			}
		})
	}
}
