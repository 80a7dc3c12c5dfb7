package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Kinds of a Session. A link is valid for one ExchangeSession.
const (
	KindLink    = "link"
	KindSession = "session"
)

// Roles of a Session: an owner sees the keys of one owner, an operator the keys of all owners.
const (
	RoleOwner    = "owner"
	RoleOperator = "operator"
)

// Session is a portal session, or a link that starts one. It has only the hash of the secret that its
// holder presents.
type Session struct {
	Hash      [32]byte // SHA-256 of the secret
	Kind      string   // KindLink or KindSession
	Workspace string
	Owner     string // empty for operators
	Role      string // RoleOwner or RoleOperator
	Subject   string // names the holder in the audit: the ID of the Actor
	Login     bool   // begun by an OpenID login, not by a link
	// MadeBy is the management key that created the link, or uuid.Nil, for example after a login.
	MadeBy uuid.UUID
	// ScopesAllowed are the scopes allowed for keys issued in the session. Nil allows all that the policy
	// offers. Unlike other slices, a nil ScopesAllowed is returned as nil.
	ScopesAllowed []string
	ReturnURL     string
	Embedded      bool // shown in a frame of another site's page
	CreatedAt     time.Time
	ExpiresAt     time.Time // must not be zero
}

// ActorKind returns the Actor.Kind of the user of the session or the link. It distinguishes an operator's
// actions from an owner's own.
func (s *Session) ActorKind() string {
	switch {
	case s.Role == RoleOperator:
		return ActorOperator
	case s.Login:
		return ActorOIDC
	}
	return ActorSession
}

// SessionStore is the part of Store that stores sessions. The stored data is not enough to use a session,
// because secrets are only stored as hashes.
type SessionStore interface {
	// CreateSession stores a session or a link. ErrNotFound: no such workspace. ErrExists: a session with this
	// hash exists. Audit: ActionSessionCreate for a link, ActionSessionStart for a session.
	CreateSession(ctx context.Context, s Session) error
	// ExchangeSession deletes the link with a hash, and stores and returns the session s with the link's
	// Workspace, Owner, Role, Subject, MadeBy, ScopesAllowed and ReturnURL, in one transaction: only one of
	// several concurrent calls succeeds. ErrNotFound: no such link, or it has expired at the time `now`.
	// ErrNoAuthority: the key MadeBy is revoked. ErrExists: a session with s.Hash exists; the link stays valid.
	// Audit: ActionSessionStart.
	ExchangeSession(ctx context.Context, link [32]byte, s Session, now time.Time) (Session, error)
	// Session returns the session or link with a hash. ErrNotFound: it is missing or has expired at `now`.
	Session(ctx context.Context, hash [32]byte, now time.Time) (Session, error)
	// StoredSession is like Session, but also returns a session that has expired and was not pruned yet.
	StoredSession(ctx context.Context, hash [32]byte) (Session, error)
	// EndSession deletes a session or link. ErrNotFound: it is missing or has expired at `at`. Audit:
	// ActionSessionEnd.
	EndSession(ctx context.Context, hash [32]byte, at time.Time) error
	// EndSessions deletes the sessions and links of a workspace that have not expired at the time `at`: those
	// of one owner, or, if owner is empty, all, including operators' sessions. It also deletes sessions that
	// begin at the same time, in exchange for a link. It returns the number of deleted sessions and links.
	// ErrNotFound: no such workspace. Audit: ActionSessionEnd, once for all of them, if there were any.
	EndSessions(ctx context.Context, workspace, owner string, at time.Time) (int, error)
	// SpendLogin records that a login of a workspace was used. `hash` is a hash of the login's state. The
	// record is stored at least until a time that must not be zero. Only one of several concurrent calls
	// succeeds. ErrExists: the login was already used. It adds no entry to the audit.
	SpendLogin(ctx context.Context, workspace string, hash [32]byte, until time.Time) error
	// PruneSessions deletes all sessions, links and used logins that expired before a time. It adds no
	// entry to the audit.
	PruneSessions(ctx context.Context, before time.Time) error
}

// Exchanged returns s as it is stored when it replaces a link. For backends.
func Exchanged(link, s Session) Session {
	s.Kind, s.Workspace, s.Owner, s.Role, s.Subject = KindSession, link.Workspace, link.Owner, link.Role, link.Subject
	s.MadeBy, s.ScopesAllowed, s.ReturnURL, s.Login = link.MadeBy, link.ScopesAllowed, link.ReturnURL, false
	return s
}
