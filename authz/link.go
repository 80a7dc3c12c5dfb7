package authz

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// role holds what a link's role takes against the limits, and returns it.
func (e *InputError) role(w *store.Workspace, r LinkRequest) string {
	role := r.Role
	if role == "" {
		role = store.RoleOwner
	}
	e.holder(w, role, r.Owner)
	switch {
	case role == store.RoleOwner:
		e.scopes("scopes_allowed", r.ScopesAllowed)
		e.offered("scopes_allowed", w, r.ScopesAllowed)
	case role == store.RoleOperator && r.ScopesAllowed != nil:
		e.addf("scopes_allowed", "must be absent for an operator, who makes no keys")
	}
	return role
}

// holder holds whose session it is to be against what each role takes.
func (e *InputError) holder(w *store.Workspace, role, owner string) {
	switch {
	case role == store.RoleOwner && w.ID == Home:
		e.addf("workspace", "%s has a portal for operators alone: its keys are the management keys", Home)
	case role == store.RoleOwner:
		e.owner("owner", owner)
	case role != store.RoleOperator:
		e.addf("role", "must be %s or %s", store.RoleOwner, store.RoleOperator)
	case owner != "":
		e.addf("owner", "must be absent for an operator, who sees the keys of all")
	}
}

// OperatesAll reports whether a session is an operator's of all workspaces: one of
// Home's, which an untied admin has begun, or a login that such a one has configured.
func OperatesAll(s *store.Session) bool { return s.Workspace == Home && s.Role == store.RoleOperator }

// opened returns what a secret opens, of a kind. Errors: ErrNoSession.
func (s *Service) opened(ctx context.Context, secret Secret, kind string) (store.Session, error) {
	if len(secret) != secretLen {
		return store.Session{}, ErrNoSession
	}
	session, err := s.store.Session(ctx, sha256.Sum256([]byte(secret.Reveal())), s.Now())
	if errors.Is(err, ErrNotFound) || err == nil && session.Kind != kind {
		return store.Session{}, ErrNoSession
	}
	if err == nil {
		err = s.stillMade(ctx, &session)
	}
	if err != nil {
		return store.Session{}, err
	}
	return session, nil
}

// EndSessions ends the links and sessions of a workspace that are still good: an owner's,
// or with owner empty everybody's. It returns how many there were. Errors: ErrNotFound.
func (s *Service) EndSessions(ctx context.Context, workspace, owner string) (int, error) {
	ctx, cancel := settle(ctx)
	defer cancel()
	return s.store.EndSessions(ctx, workspace, owner, s.Now())
}

// stillMade returns ErrNoSession if the management key that made a link, or the link of a
// session, is revoked by now: whoever had it stolen and revokes it is to be rid of all that
// it opened. One that has merely expired was good when it made them.
func (s *Service) stillMade(ctx context.Context, session *store.Session) error {
	if session.MadeBy == uuid.Nil {
		return nil
	}
	k, err := s.store.Key(ctx, Home, session.MadeBy)
	if errors.Is(err, ErrNotFound) || err == nil && k.Status(s.Now()) == store.Revoked {
		return ErrNoSession
	}
	return err
}

// lifeBy is that of the session that a link opens.
func lifeBy(link *store.Session) time.Duration {
	if link.Role == store.RoleOperator {
		return LoginLife
	}
	return SessionLife
}

// noteExpired notes the refusal of a link that has expired, as that of a login, for as long
// as it is kept. One that was used is known no more.
func (s *Service) noteExpired(ctx context.Context, link [sha256.Size]byte) error {
	asked, err := s.store.Session(ctx, link, time.Time{}) // when it was good, and all others
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && asked.Kind != store.KindLink:
		return nil
	case err != nil:
		return err
	}
	return s.noteLogin(ctx, asked.Workspace, asked.Owner, "expired-link")
}
