package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/store"
)

// Errors of calls about requests for plans and scopes.
var (
	ErrRequestExists = fmt.Errorf("the request: %w", ErrExists) // an open one for the key and of this kind
	ErrDecided       = store.ErrDecided
	ErrNotOffered    = errors.New("the workspace no longer offers the plan or scopes")
)

// DecidedError means that a request is not open. It matches ErrDecided.
type DecidedError struct{ Request store.Request }

func (e *DecidedError) Error() string {
	return fmt.Sprintf("the request %s is already %s", e.Request.ID, e.Request.Status)
}

// Is makes errors.Is(err, ErrDecided) hold.
func (e *DecidedError) Is(target error) bool { return target == ErrDecided }

// RequestsFullError means that an owner or the workspace has as many open requests as allowed.
type RequestsFullError struct{ OfOwner, OfWorkspace int }

func (e *RequestsFullError) Error() string {
	return fmt.Sprintf("the owner has %d open requests, or the workspace has %d", e.OfOwner, e.OfWorkspace)
}

// NewRequest requests a plan or further scopes for a key.
type NewRequest struct {
	Key uuid.UUID
	store.Wanted
	Reason string
	// Session is the owner's portal session, if the request comes from the portal. Only scopes that the policy
	// names can then be requested, also those that the session does not allow.
	Session *store.Session
}

// check checks what is possible without the key.
func (r *NewRequest) check() error {
	var bad InputError
	if (r.Plan == "") == (len(r.Scopes) == 0) {
		bad.Add("plan", RulePlanOrScopes)
	}
	bad.planName("plan", r.Plan)
	bad.scopes("scopes", r.Scopes)
	bad.name("reason", r.Reason, 0)
	return bad.err()
}

// CreateRequest stores a request. Errors: InputError, *BudgetError, ErrNotFound, also for a key of another owner,
// *StateError: the key is revoked or has expired, ErrRequestExists, *RequestsFullError.
func (s *Service) CreateRequest(ctx context.Context, workspace string, r NewRequest) (store.Request, error) {
	defer spans.Start(&ctx, "authz.create_request", nil)()
	if err := r.check(); err != nil {
		return store.Request{}, err
	}
	if err := s.spend(ctx, changeCost); err != nil {
		return store.Request{}, err
	}
	id, err := s.newID()
	if err != nil {
		return store.Request{}, err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	made, err := s.store.CreateRequest(ctx, store.Request{
		Workspace: workspace, ID: id, Key: r.Key, Wanted: r.Wanted, Reason: r.Reason, CreatedAt: s.Now(),
	}, func(w *store.Workspace, k *store.Key) error { return r.allowed(w, k, s.Now()) })
	switch {
	case errors.Is(err, ErrNotActive):
		err = s.readState(ctx, workspace, r.Key)
	case errors.Is(err, store.ErrNoPlan):
		err = Invalid("plan", RuleNoPlan)
	case errors.Is(err, ErrExists):
		err = ErrRequestExists
	case errors.Is(err, ErrTooMany):
		err = &RequestsFullError{store.MaxOpenOfOwner, store.MaxOpenRequests}
	}
	return made, err
}

// allowed checks a request against the workspace and its key.
func (r *NewRequest) allowed(w *store.Workspace, k *store.Key, now time.Time) error {
	if r.Session != nil {
		if !isOf(r.Session, w.ID, k.Owner) {
			return ErrNotFound
		}
		w = OnPage(w, &store.Session{})
	}
	err := grant(w, k, &r.Wanted, now)
	if errors.Is(err, errUnchanged) {
		return Invalid(r.Kind(), RuleAlreadyHas)
	}
	return err
}

// grant changes a key as requested. Errors: InputError, ErrNotActive, errUnchanged.
func grant(w *store.Workspace, k *store.Key, wanted *store.Wanted, now time.Time) error {
	patch := KeyPatch{Plan: &wanted.Plan}
	if wanted.Plan == "" {
		scopes := union(k.Scopes, wanted.Scopes)
		patch = KeyPatch{Scopes: &scopes}
	}
	c, err := patch.checked()
	if err != nil {
		return err
	}
	c.granted = wanted.Plan == ""
	return c.apply(w, k, now)
}

// union returns the elements of a and then those of b that a lacks.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, one := range b {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// Decision decides a request.
type Decision struct {
	Status store.RequestStatus // store.RequestApproved, RequestDeclined or RequestWithdrawn
	Answer string
	// Session is the owner's portal session, if the decision comes from an owner, who can only withdraw.
	Session *store.Session
}

// DecideRequest decides an open request. An approval changes the key as UpdateKey does; when it returns nil, this
// server has published the change. Errors: InputError, *BudgetError, ErrNotFound, also for a request of another
// owner, ErrForbidden, *DecidedError; of an approval *StateError: the key is revoked or has expired, ErrNotOffered.
func (s *Service) DecideRequest(ctx context.Context, workspace string, id uuid.UUID, d Decision) (store.Request, error) {
	defer spans.Start(&ctx, "authz.decide_request", nil)()
	if d.Session != nil && d.Status != store.RequestWithdrawn {
		return store.Request{}, fmt.Errorf("%w: an owner can only withdraw a request", ErrForbidden)
	}
	var bad InputError
	if bad.name("answer", d.Answer, 0); len(bad) > 0 {
		return store.Request{}, bad
	}
	if err := s.spend(ctx, changeCost); err != nil {
		return store.Request{}, err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	var key uuid.UUID
	r, _, err := s.store.DecideRequest(ctx, workspace, id, func(w *store.Workspace, r *store.Request, k *store.Key) error {
		key = k.ID
		return d.apply(w, r, k, s.Now())
	})
	switch {
	case errors.Is(err, ErrDecided):
		return r, s.whyDecided(ctx, workspace, id, d.Session)
	case errors.Is(err, ErrNotActive):
		return r, s.readState(ctx, workspace, key)
	case errors.Is(err, store.ErrNoPlan), errors.Is(err, store.ErrBeyondParent):
		return r, ErrNotOffered
	case err != nil || d.Status != store.RequestApproved:
		return r, err
	}
	return r, s.reachPresent(ctx, workspace)
}

// apply decides a request, within the transaction that stores it.
func (d *Decision) apply(w *store.Workspace, r *store.Request, k *store.Key, now time.Time) error {
	if !isOf(d.Session, w.ID, r.Owner) {
		return ErrNotFound
	}
	r.Status, r.Answer, r.DecidedAt = d.Status, d.Answer, now
	if d.Status != store.RequestApproved {
		return nil
	}
	var bad InputError
	switch err := grant(w, k, &r.Wanted, now); {
	case errors.As(err, &bad):
		return ErrNotOffered
	case errors.Is(err, errUnchanged): // the key was changed meanwhile
		return nil
	default:
		return err
	}
}

// isOf reports whether an owner's session, if there is one, can see what belongs to an owner.
func isOf(session *store.Session, workspace, owner string) bool {
	return session == nil || session.Workspace == workspace && session.Owner == owner
}

// whyDecided returns the decision of a request as an error, but not to another owner.
func (s *Service) whyDecided(ctx context.Context, workspace string, id uuid.UUID, session *store.Session) error {
	r, err := s.store.Request(ctx, workspace, id)
	switch {
	case err != nil:
		return err
	case !isOf(session, workspace, r.Owner):
		return ErrNotFound
	}
	return &DecidedError{r}
}

// Request returns a request. Errors: ErrNotFound.
func (s *Service) Request(ctx context.Context, workspace string, id uuid.UUID) (store.Request, error) {
	return s.store.Request(ctx, workspace, id)
}

// Requests lists the requests of a workspace, the newest first, in pages like those of Keys. Errors: InputError,
// ErrNotFound, *CrowdedError.
func (s *Service) Requests(ctx context.Context, workspace string, f store.RequestFilter) ([]store.Request, uuid.UUID, error) {
	switch f.Status {
	case "", store.RequestOpen, store.RequestApproved, store.RequestDeclined, store.RequestWithdrawn:
	default:
		return nil, uuid.Nil, Invalid("status", RuleNotOneOf, "values", "open, approved, declined, withdrawn")
	}
	if err := s.known(ctx, workspace); err != nil {
		return nil, uuid.Nil, err
	}
	p, err := pageOf(ctx, s.reads, workspace, f.After, f.Limit, false, sizeOfRequest,
		func(ctx context.Context, after uuid.UUID, limit, bytes int) ([]store.Request, uuid.UUID, error) {
			f := f
			f.After, f.Limit, f.Bytes = after, limit, bytes
			return s.store.Requests(ctx, workspace, f)
		})
	return p.items, p.next, err
}

func sizeOfRequest(r *store.Request) int {
	return 384 + len(r.Owner) + len(r.Plan) + sizeOfTexts(r.Scopes) + len(r.Reason) + len(r.Answer)
}
