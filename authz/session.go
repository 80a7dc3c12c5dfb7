package authz

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
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
	LoginLife       = 8 * time.Hour    // of an operator, and of whoever logged in by OpenID Connect
)

// Secret is what opens a link or a session. It hides itself in logs, as a token does.
type Secret = jwks.Token

// LinkRequest asks for a link by which an owner or an operator gets to the portal.
type LinkRequest struct {
	// Role is store.RoleOwner, also where empty, or store.RoleOperator: of somebody who
	// sees the keys of all owners and makes none. In Home there are operators alone, and
	// theirs are all workspaces: see OperatesAll.
	Role  string
	Owner string // empty for an operator
	// ScopesAllowed are all that keys made in the session may have; nil: what the
	// workspace offers.
	ScopesAllowed []string
	// ReturnURL is where the portal leads back to, or empty.
	ReturnURL string
	// ExpiresIn is the link's life in seconds; DefaultLinkLife where nil.
	ExpiresIn *int64
	// MadeBy is the management key that asks: once it is revoked, neither the link nor the
	// session that it opened is good. uuid.Nil: none.
	MadeBy uuid.UUID
	// Subject says for the audit who it is for, with an owner's limits; or empty.
	Subject string
}

// PortalLink makes a link that opens one session. Errors: InputError, ErrNotFound.
func (s *Service) PortalLink(ctx context.Context, workspace string, r LinkRequest) (Secret, store.Session, error) {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return "", store.Session{}, err
	}
	life := DefaultLinkLife
	var bad InputError
	role := bad.role(&w, r)
	if r.Subject != "" {
		bad.owner("subject", r.Subject)
	}
	if r.ReturnURL != "" {
		bad.webURL("return_url", r.ReturnURL)
	}
	if r.ExpiresIn != nil {
		if seconds := *r.ExpiresIn; seconds < int64(MinLinkLife/time.Second) || seconds > int64(MaxLinkLife/time.Second) {
			bad.addf("expires_in", "must be %d to %d seconds", MinLinkLife/time.Second, MaxLinkLife/time.Second)
		} else {
			life = time.Duration(seconds) * time.Second
		}
	}
	if err := bad.err(); err != nil {
		return "", store.Session{}, err
	}
	return s.newSession(ctx, store.Session{
		Kind: store.KindLink, Workspace: workspace, Owner: r.Owner, Role: role, MadeBy: r.MadeBy, Subject: r.Subject,
		ScopesAllowed: slices.Clone(r.ScopesAllowed), ReturnURL: r.ReturnURL,
	}, life)
}

// PortalPath is what the portal's paths begin with.
const PortalPath = "/portal"

// PortalLinkURL is where a link's secret opens its session.
func (s *Service) PortalLinkURL(secret Secret) string {
	return s.publicURL + PortalPath + "/link/" + secret.Reveal()
}

// newSession keeps a session under the hash of a new secret: whoever reads the
// database can't open it.
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

// secretLen is the length of a Secret's text.
const secretLen = 43

// CanBeSecret reports whether a text is as long as a Secret: any other opens nothing.
func CanBeSecret(text string) bool { return len(text) == secretLen }

// Link returns what a link is for, and leaves it good. Errors: ErrNoSession where it was
// used, is over or never was, or its key is revoked.
func (s *Service) Link(ctx context.Context, link Secret) (store.Session, error) {
	return s.opened(ctx, link, store.KindLink)
}

// StartSession turns a link into a session, once. Errors: ErrNoSession where the link
// was used, is over or never was, or its key is revoked.
func (s *Service) StartSession(ctx context.Context, link Secret, embedded bool) (Secret, store.Session, error) {
	if len(link) != secretLen {
		return "", store.Session{}, ErrNoSession
	}
	secret, hash := newSecret()
	now, linkHash := s.Now(), sha256.Sum256([]byte(link.Reveal()))
	ctx, cancel := settle(ctx)
	defer cancel()
	var session store.Session
	asked, err := s.store.Session(ctx, linkHash, now)
	if err == nil {
		if err = s.stillMade(ctx, &asked); errors.Is(err, ErrNoSession) && asked.Kind == store.KindLink {
			return "", store.Session{}, cmp.Or(s.noteLogin(ctx, asked.Workspace, asked.Owner, "revoked-key"), err)
		}
	}
	if err == nil {
		// Who opens it is who does what comes behind it in the audit.
		actor := store.ActorOf(ctx)
		actor.Kind, actor.ID = asked.ActorKind(), asked.Subject
		session, err = s.store.ExchangeSession(store.By(ctx, actor), linkHash, store.Session{
			Hash: hash, Kind: store.KindSession, Embedded: embedded, CreatedAt: now, ExpiresAt: now.Add(lifeBy(&asked)),
		}, now)
	}
	if errors.Is(err, ErrNotFound) {
		return "", store.Session{}, cmp.Or(s.noteExpired(ctx, linkHash), ErrNoSession)
	}
	if err != nil {
		return "", store.Session{}, err
	}
	return secret, session, nil
}

// Login is somebody whom an OpenID provider has named.
type Login struct {
	// Role is store.RoleOwner or store.RoleOperator, and never guessed: that no owner is
	// named makes nobody an operator.
	Role    string
	Owner   string // empty for an operator
	Subject string // who it is, for the audit
}

// StartLogin opens a session for somebody who has logged in. Errors: InputError,
// ErrNotFound.
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
	return s.newSession(ctx, store.Session{
		Kind: store.KindSession, Workspace: workspace, Owner: l.Owner, Role: l.Role, Subject: l.Subject, Login: true,
	}, LoginLife)
}

// Session returns the session that a secret opens. Errors: ErrNoSession where it is over
// or never was, where the key that made its link is revoked, or where the secret is a
// link's.
func (s *Service) Session(ctx context.Context, secret Secret) (store.Session, error) {
	return s.opened(ctx, secret, store.KindSession)
}

// EndSession ends a session before its time. One that is over already is no error.
func (s *Service) EndSession(ctx context.Context, secret Secret) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	err := s.store.EndSession(ctx, sha256.Sum256([]byte(secret.Reveal())), s.Now())
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
