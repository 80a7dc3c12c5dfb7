package authz

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/burnkey/burnkey/store"
)

// SpendLogin uses up an OpenID login, identified by its state, on all servers. It is remembered
// until the given time, after which the caller must refuse it as too old. Errors: ErrExists if
// it has been used up before.
func (s *Service) SpendLogin(ctx context.Context, workspace, state string, until time.Time) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	return s.store.SpendLogin(ctx, workspace, sha256.Sum256([]byte(state)), until)
}

// Login is a person identified by an OpenID provider.
type Login struct {
	// Role is store.RoleOwner or store.RoleOperator. A missing owner does not make an operator.
	Role    string
	Owner   string // empty for an operator
	Subject string // the person, for the audit
}

// StartLogin opens a session after a login. Errors: InputError, ErrNotFound.
func (s *Service) StartLogin(ctx context.Context, workspace string, l Login) (Secret, store.Session, error) {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return "", store.Session{}, err
	}
	var bad InputError
	bad.holder(&w, l.Role, l.Owner)
	bad.text("subject", l.Subject, 1)
	if err := bad.err(); err != nil {
		return "", store.Session{}, err
	}
	session := store.Session{
		Kind: store.KindSession, Workspace: workspace, Owner: l.Owner, Role: l.Role, Subject: l.Subject, Login: true,
	}
	if err := s.spend(BySession(ctx, &session), changeCost); err != nil {
		return "", store.Session{}, err
	}
	return s.newSession(ctx, session, LoginLife)
}
