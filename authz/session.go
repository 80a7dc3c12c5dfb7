package authz

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Lives of portal links and sessions.
const (
	MinLinkLife     = time.Minute
	MaxLinkLife     = time.Hour
	DefaultLinkLife = 10 * time.Minute
	SessionLife     = 30 * time.Minute // of an owner by a link
	LoginLife       = 8 * time.Hour    // of an operator, and of a login by OpenID Connect
)

// Secret opens a link or a session. It redacts itself in logs, like a token.
type Secret = jwks.Token

// newSession stores a session under the hash of a new secret, so that a reader of the database can't open it.
func (s *Service) newSession(ctx context.Context, session store.Session, life time.Duration) (Secret, store.Session, error) {
	secret, hash := newSecret()
	session.Hash, session.CreatedAt = hash, s.Now()
	session.ExpiresAt = session.CreatedAt.Add(life)
	ctx, cancel := settle(ctx)
	defer cancel()
	if err := s.store.CreateSession(ctx, session); err != nil {
		return "", store.Session{}, err
	}
	return secret, session, nil
}

func newSecret() (Secret, [sha256.Size]byte) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	text := base64.RawURLEncoding.EncodeToString(random)
	return Secret(text), sha256.Sum256([]byte(text))
}

// secretLen is the length of a Secret as a string.
const secretLen = 43

// CanBeSecret reports whether a string has the length of a Secret.
func CanBeSecret(text string) bool { return len(text) == secretLen }

// Link returns an unused link, which stays valid. Errors: ErrNoSession if the link was used, has expired or
// never existed, or if the key that made it is revoked.
func (s *Service) Link(ctx context.Context, link Secret) (store.Session, error) {
	return s.opened(ctx, link, store.KindLink)
}

// StartSession exchanges a link for a session. This works once for each link. Errors: ErrNoSession as for Link.
func (s *Service) StartSession(ctx context.Context, link Secret, embedded bool) (Secret, store.Session, error) {
	if len(link) != secretLen {
		return "", store.Session{}, ErrNoSession
	}
	return s.startSession(ctx, sha256.Sum256([]byte(link.Reveal())), embedded)
}

// startSession is like StartSession, but takes the link's hash.
func (s *Service) startSession(ctx context.Context, link [sha256.Size]byte, embedded bool) (Secret, store.Session, error) {
	secret, hash := newSecret()
	ctx, cancel := settle(ctx)
	defer cancel()
	opened := store.Session{Hash: hash, Kind: store.KindSession, Embedded: embedded}
	session, err := s.exchange(ctx, link, opened)
	if err != nil {
		return "", store.Session{}, err
	}
	return secret, session, nil
}

// exchange replaces a link by a session. If the link is refused, it records the reason in the audit.
func (s *Service) exchange(ctx context.Context, link [sha256.Size]byte, session store.Session) (store.Session, error) {
	now := s.Now()
	asked, err := s.store.Session(ctx, link, now)
	if err == nil {
		err = s.stillMade(ctx, &asked)
	}
	revoked := errors.Is(err, ErrNoSession) && asked.Kind == store.KindLink
	if err == nil {
		// The audit names the person who opens the link as the actor of this change.
		actor := store.ActorOf(ctx)
		actor.Kind, actor.ID = asked.ActorKind(), asked.Subject
		session.CreatedAt, session.ExpiresAt = now, now.Add(lifeBy(&asked))
		session, err = s.store.ExchangeSession(store.By(ctx, actor), link, session, now)
		revoked = errors.Is(err, store.ErrNoAuthority) // the maker's key was revoked meanwhile
	}
	switch {
	case revoked:
		err = cmp.Or(s.noteLogin(ctx, asked.Workspace, asked.Owner, "revoked-key"), ErrNoSession)
	case errors.Is(err, ErrNotFound):
		err = cmp.Or(s.noteExpired(ctx, link), ErrNoSession)
	}
	return session, err
}

// Session returns the session that a secret opens. Errors: ErrNoSession if the session has ended or never
// existed, if the key that made its link is revoked, or if the secret belongs to a link.
func (s *Service) Session(ctx context.Context, secret Secret) (store.Session, error) {
	return s.opened(ctx, secret, store.KindSession)
}

// EndSession ends a session. If the session has already ended, it does nothing.
func (s *Service) EndSession(ctx context.Context, secret Secret) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	hash := sha256.Sum256([]byte(secret.Reveal()))
	// The secret is enough to end a session, so the store checks no other authority.
	err := s.store.EndSession(store.Under(ctx, store.Authority{}), hash, s.Now())
	s.running.endSessions(ctx, func(over *store.Session) bool { return over.Hash == hash })
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// OperatesAll reports whether a session belongs to an operator of all workspaces: an operator of Home. Only an
// untied admin can make such a session, or configure the login for it.
func OperatesAll(s *store.Session) bool { return s.Workspace == Home && s.Role == store.RoleOperator }

// opened returns the link or session that a secret opens. Errors: ErrNoSession.
func (s *Service) opened(ctx context.Context, secret Secret, kind string) (store.Session, error) {
	if len(secret) != secretLen {
		return store.Session{}, ErrNoSession
	}
	return s.openedBy(ctx, sha256.Sum256([]byte(secret.Reveal())), kind)
}

// openedBy returns the link or session with this hash. Errors: ErrNoSession.
func (s *Service) openedBy(ctx context.Context, hash [sha256.Size]byte, kind string) (store.Session, error) {
	session, err := s.store.Session(ctx, hash, s.Now())
	if errors.Is(err, ErrNotFound) || err == nil && session.Kind != kind {
		return store.Session{}, ErrNoSession
	}
	if err == nil {
		err = s.stillMade(ctx, &session)
	}
	return session, err
}

// EndSessions ends the valid links and sessions of an owner or, with "", of all owners, and returns their
// number. Errors: ErrNotFound.
func (s *Service) EndSessions(ctx context.Context, workspace, owner string) (int, error) {
	ctx, cancel := settle(ctx)
	defer cancel()
	n, err := s.store.EndSessions(ctx, workspace, owner, s.Now())
	if err == nil {
		s.running.endSessions(ctx, func(over *store.Session) bool {
			return over.Workspace == workspace && (owner == "" || over.Owner == owner)
		})
	}
	return n, err
}

// stillMade returns ErrNoSession if the management key that made a session's link was revoked or is suspended:
// revoking a stolen key ends all sessions that were opened with it. If the key only expired, the session continues.
func (s *Service) stillMade(ctx context.Context, session *store.Session) error {
	if session.MadeBy == uuid.Nil {
		return nil
	}
	k, err := s.store.Key(ctx, Home, session.MadeBy)
	if errors.Is(err, ErrNotFound) {
		return ErrNoSession
	}
	if status := k.Status(s.Now()); err == nil && (status == store.Revoked || status == store.Suspended) {
		return ErrNoSession
	}
	return err
}
