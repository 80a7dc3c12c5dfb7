package authz

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/burnkey/burnkey/authz/sign"
	"github.com/burnkey/burnkey/authz/sign/shift"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// ShiftOptions of RunExchange. A zero value means the default.
type ShiftOptions struct {
	// Every is the interval at which changes by other servers are looked for. Default 2 s.
	Every time.Duration
	// Length of a shift, after which its private keys are burned. Default an hour.
	Length time.Duration
	Log    *slog.Logger // nil: none
}

const (
	shiftLength  = time.Hour
	shiftsEvery  = 2 * time.Second
	shiftStartup = time.Minute // for generating the key pairs of shift.MaxKeys workspaces
	// cacheSlack is how much longer than max_cache_age a JWK is published before it is used: other servers publish it later.
	cacheSlack = 2 * time.Second
	// expirySlack is how long a JWK stays in the set after the last token has expired, for clocks that are slow.
	expirySlack = 2 * time.Minute
)

// signer is a workspace's key pair in a shift.
type signer struct {
	key    *sign.Key
	usable time.Time
	last   atomic.Int64 // the latest exp of its tokens, in seconds since 1970
}

// workShift is a signing process with its end, and a signer for each workspace.
type workShift struct {
	process *sign.Process
	ends    time.Time
	signers map[string]*signer   // changed with shifts.mu only
	made    map[string]*sign.Key // not published yet, or the publication failed; for keepShifts only
}

func (w *workShift) alive(now time.Time) bool {
	select {
	case <-w.process.Ended():
		return false
	default:
		return now.Before(w.ends)
	}
}

// shifts are the signing processes of this server: the present one, and the next, whose JWKs are published ahead of use.
type shifts struct {
	length time.Duration // 0: the exchange does not run
	wake   chan struct{}

	mu   sync.RWMutex
	list []*workShift                // by their end
	on   map[string]store.Exchanging // workspaces with an exchange
}

// NotReadyError means that no key pair of the workspace is usable here yet.
type NotReadyError struct{ After time.Duration }

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("no signing key is usable for %v", e.After)
}

// RunExchange keeps signing processes for the workspaces whose policy has an exchange until the context ends. Then all private
// keys are burned.
func (s *Service) RunExchange(ctx context.Context, o ShiftOptions) {
	s.shifts.mu.Lock()
	s.shifts.length = cmp.Or(o.Length, shiftLength)
	s.shifts.mu.Unlock()
	keeping := loop.Loop{
		Every: cmp.Or(o.Every, shiftsEvery), Wake: s.shifts.wake, Log: o.Log, Level: slog.LevelError,
		Backoff: loop.Backoff{First: shiftsEvery, Max: time.Minute},
		Failure: "cannot keep signing keys for the exchange; trying again",
		Next:    func() time.Duration { return s.shifts.next(s.Now(), cmp.Or(o.Every, shiftsEvery)) },
	}
	keeping.Run(ctx, s.keepShifts)
	ctx, cancel := settle(ctx)
	defer cancel()
	if err := s.endShifts(ctx, func(*workShift) bool { return true }); err != nil && o.Log != nil {
		o.Log.Warn("the end of signing keys was not stored; their JWKs stay published longer", "error", err)
	}
}

// next returns the time until the first shift ends, but not more than `most`.
func (s *shifts) next(now time.Time, most time.Duration) time.Duration {
	list := s.all()
	if len(list) == 0 {
		return most
	}
	return max(0, min(most, list[0].ends.Sub(now)))
}

func (s *shifts) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// keepShifts does what is due: it ends shifts, starts the next one, publishes a JWK for each workspace, and removes the JWKs
// of signers, also of other servers, whose tokens have expired.
func (s *Service) keepShifts(ctx context.Context) error {
	now := s.Now()
	errs := []error{
		s.endShifts(ctx, func(w *workShift) bool { return !w.alive(now) }),
		s.removeSigners(ctx),
	}
	list, err := s.store.Exchanging(ctx, shift.MaxKeys+1)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if len(list) > shift.MaxKeys {
		errs = append(errs, fmt.Errorf("more than %d workspaces have an exchange; the others have none here", shift.MaxKeys))
		list = list[:shift.MaxKeys]
	}
	on := make(map[string]store.Exchanging, len(list))
	lead := time.Duration(0)
	for _, x := range list {
		on[x.Workspace] = x
		lead = max(lead, min(shiftStartup, s.shifts.length)+cacheAge(&x.Exchange))
	}
	s.shifts.mu.Lock()
	s.shifts.on = on
	s.shifts.mu.Unlock()
	if len(list) == 0 {
		return errors.Join(append(errs, s.endShifts(ctx, func(*workShift) bool { return true }))...)
	}
	errs = append(errs, s.startShifts(now, lead))
	for _, w := range s.shifts.all() {
		for _, x := range list {
			if ctx.Err() == nil {
				errs = append(errs, s.addSigner(ctx, w, x))
			}
		}
	}
	return errors.Join(errs...)
}

// cacheAge returns for how long clients may cache a workspace's set.
func cacheAge(x *store.Exchange) time.Duration {
	return time.Duration(cmp.Or(x.MaxCacheAge, DefaultCacheAge)) * time.Second
}

func (s *shifts) all() []*workShift {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.list)
}

// startShifts starts each shift that must have its JWKs published by now.
func (s *Service) startShifts(now time.Time, lead time.Duration) error {
	for {
		last := now
		if list := s.shifts.all(); len(list) > 0 {
			if last = list[len(list)-1].ends; last.Sub(now) > lead {
				return nil
			}
		}
		process, err := sign.Start()
		if err != nil {
			return err
		}
		go func() {
			<-process.Ended()
			s.shifts.rouse()
		}()
		s.shifts.mu.Lock()
		s.shifts.list = append(s.shifts.list, &workShift{
			process: process, ends: last.Add(s.shifts.length), signers: make(map[string]*signer), made: make(map[string]*sign.Key),
		})
		s.shifts.mu.Unlock()
	}
}

// addSigner gives a workspace its key pair in a shift, and publishes the JWK.
func (s *Service) addSigner(ctx context.Context, w *workShift, x store.Exchanging) error {
	now := s.Now()
	s.shifts.mu.RLock()
	have := w.signers[x.Workspace]
	s.shifts.mu.RUnlock()
	if !w.ends.After(now.Add(cacheAge(&x.Exchange)+cacheSlack)) || !w.alive(now) {
		return nil
	}
	if have != nil {
		if there, err := s.stillPublishes(ctx, x.Workspace, have.key); there || err != nil {
			return err
		}
	}
	key := w.made[x.Workspace]
	if key == nil {
		var err error
		if key, err = w.process.Generate(ctx); err != nil {
			return fmt.Errorf("workspace %s: %w", x.Workspace, err)
		}
		w.made[x.Workspace] = key
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	version, err := s.store.PublishSigner(ctx, store.Signer{
		Workspace: x.Workspace, KID: key.KID(), UsableAt: now.Add(cacheAge(&x.Exchange)), EndsAt: w.ends,
		RemoveAt: w.ends.Add(MaxTokenLife*time.Second + expirySlack),
	}, key.Key)
	switch {
	case errors.Is(err, store.ErrDuplicateKID): // published before, but the answer was lost
		_, err := s.stillPublishes(ctx, x.Workspace, key)
		if err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("workspace %s: %w", x.Workspace, err)
	default:
		s.publisher.Apply(ctx, x.Workspace, jwks.Change{Version: version, Add: []jwks.Key{key.Key}})
	}
	delete(w.made, x.Workspace)
	added := &signer{key: key, usable: s.Now().Add(cacheAge(&x.Exchange) + cacheSlack)}
	s.shifts.mu.Lock()
	w.signers[x.Workspace] = added
	s.shifts.mu.Unlock()
	return nil
}

// publishes reports whether a signer's JWK is in the set here. An administrator can have deleted it, or restored the database.
func (s *Service) publishes(workspace string, key *sign.Key) bool {
	set, ok := s.publisher.Set(workspace)
	if !ok {
		return false
	}
	_, ok = set.Lookup(key.KID())
	return ok
}

// stillPublishes does the same as publishes, but reads the set again if it lacks the JWK.
func (s *Service) stillPublishes(ctx context.Context, workspace string, key *sign.Key) (bool, error) {
	if s.publishes(workspace, key) {
		return true, nil
	}
	w, err := s.store.Workspace(ctx, workspace)
	if err == nil {
		err = s.publisher.Reach(ctx, workspace, w.Version)
	}
	return s.publishes(workspace, key), err
}

// endShifts burns the private keys of shifts, and lets their JWKs be removed when their last token has expired.
func (s *Service) endShifts(ctx context.Context, over func(*workShift) bool) error {
	var ended []*workShift
	s.shifts.mu.Lock()
	s.shifts.list = slices.DeleteFunc(s.shifts.list, func(w *workShift) bool {
		if over(w) {
			ended = append(ended, w)
			return true
		}
		return false
	})
	s.shifts.mu.Unlock()
	var errs []error
	for _, w := range ended {
		w.process.Close()
		for workspace, signer := range w.signers { // which no longer changes
			now := s.Now()
			remove := now
			if last := signer.last.Load(); last > 0 {
				remove = time.Unix(last, 0).Add(expirySlack)
			}
			errs = append(errs, s.store.EndSigners(ctx, workspace, []jwks.KID{signer.key.KID()}, now, remove))
		}
	}
	return errors.Join(errs...)
}

// removeSigners removes JWKs whose tokens have all expired.
func (s *Service) removeSigners(ctx context.Context) error {
	now := s.Now()
	workspaces, err := s.store.SignersDue(ctx, now, dueAtOnce)
	errs := []error{err}
	for _, workspace := range workspaces {
		kids, version, err := s.store.RemoveSigners(ctx, workspace, now)
		if err == nil && len(kids) > 0 {
			s.publisher.Apply(ctx, workspace, jwks.Change{Version: version, Remove: kids})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// pick returns the workspace's signer that signs now: that of the shift which ends first. Errors: *NotReadyError.
func (s *Service) pick(workspace string) (*signer, error) {
	now, soonest := s.Now(), time.Duration(0)
	s.shifts.mu.RLock()
	defer s.shifts.mu.RUnlock()
	for _, w := range s.shifts.list {
		signer := w.signers[workspace]
		switch {
		case signer == nil || !w.alive(now) || !s.publishes(workspace, signer.key):
		case !signer.usable.After(now):
			return signer, nil
		case soonest == 0 || signer.usable.Sub(now) < soonest:
			soonest = signer.usable.Sub(now)
		}
	}
	return nil, &NotReadyError{After: max(soonest, time.Second)}
}

// signAccess returns the access token with a payload that expires at exp. Errors: *NotReadyError, the context's.
func (s *Service) signAccess(ctx context.Context, workspace string, payload []byte, exp int64) (jwks.Token, error) {
	for range 2 { // the process can have been killed
		signer, err := s.pick(workspace)
		if err != nil {
			return "", err
		}
		for last := signer.last.Load(); last < exp && !signer.last.CompareAndSwap(last, exp); {
			last = signer.last.Load()
		}
		input := jwks.SigningInput(jwks.TypeAccessToken, signer.key.KID(), payload)
		signature, err := signer.key.Sign(ctx, sha256.Sum256([]byte(input)))
		if err == nil {
			return jwks.NewToken(input, signature), nil
		}
		if !errors.Is(err, sign.ErrEnded) {
			return "", err
		}
	}
	return "", &NotReadyError{After: time.Second}
}
