package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Kinds of a Session: a link is good for one ExchangeSession.
const (
	KindLink    = "link"
	KindSession = "session"
)

// Roles of a Session: an owner sees the keys of one owner, an operator all.
const (
	RoleOwner    = "owner"
	RoleOperator = "operator"
)

// Session says who may use the portal for a while. The secret that its holder
// shows is not in it, only its hash.
type Session struct {
	Hash      [32]byte // SHA-256 of the secret
	Kind      string   // KindLink or KindSession
	Workspace string
	Owner     string // empty for operators
	Role      string // RoleOwner or RoleOperator
	Subject   string // who it is, for the audit: the ID of the Actor
	Login     bool   // they have logged in themselves, rather than come by a link
	// MadeBy is the key of the workspace burnkey that the link was made with; uuid.Nil: by
	// none, as a login is.
	MadeBy uuid.UUID
	// ScopesAllowed are those that keys issued by it may have; nil, which unlike
	// other slices comes back as nil: any that the policy offers.
	ScopesAllowed []string
	ReturnURL     string
	Embedded      bool // in a frame of another site's page
	CreatedAt     time.Time
	ExpiresAt     time.Time // must not be zero
}

// ActorKind is that of whoever acts in the session, or opens it by the link. What an
// operator does must not pass for an owner's own doing.
func (s *Session) ActorKind() string {
	switch {
	case s.Role == RoleOperator:
		return ActorOperator
	case s.Login:
		return ActorOIDC
	}
	return ActorSession
}

// SessionStore is the part of Store that keeps sessions. Whoever reads all of it
// can use none of them.
type SessionStore interface {
	// CreateSession keeps a session or a link. ErrNotFound: no such workspace.
	// ErrExists: there is one with this hash. ActionSessionCreate for a link,
	// ActionSessionStart for a session.
	CreateSession(ctx context.Context, s Session) error
	// ExchangeSession deletes the link of a hash and keeps the session s, with the
	// link's Workspace, Owner, Role, Subject, MadeBy, ScopesAllowed and ReturnURL, in one
	// transaction: of any who try at once, one succeeds. It returns the session.
	// ErrNotFound: no such link, or it has expired at now. ErrNoAuthority: the key that it was
	// MadeBy is revoked. ErrExists: a session with s.Hash exists; the link stays valid.
	// ActionSessionStart.
	ExchangeSession(ctx context.Context, link [32]byte, s Session, now time.Time) (Session, error)
	// Session returns the session or link of a hash. ErrNotFound, also if it has
	// expired at now.
	Session(ctx context.Context, hash [32]byte, now time.Time) (Session, error)
	// EndSession deletes a session or link. ErrNotFound, also if it has expired at at.
	// ActionSessionEnd.
	EndSession(ctx context.Context, hash [32]byte, at time.Time) error
	// EndSessions deletes a workspace's sessions and links that have not expired at at: an
	// owner's, or with owner empty all, operators' among them, and also those that links
	// become meanwhile. It returns how many. ErrNotFound: no such workspace.
	// ActionSessionEnd, once for all of them; none where there were none.
	EndSessions(ctx context.Context, workspace, owner string, at time.Time) (int, error)
	// SpendLogin records that a login of a workspace is used up, by a hash of its state, until a
	// time that must not be zero. Of several concurrent calls, one succeeds. ErrExists: it was
	// used up before. It adds no entry to the audit.
	SpendLogin(ctx context.Context, workspace string, hash [32]byte, until time.Time) error
	// PruneSessions deletes all sessions, links and spent logins that expired before that time.
	// It adds no entry to the audit.
	PruneSessions(ctx context.Context, before time.Time) error
}

// Exchanged returns the session that s becomes by a link, which is no login. For
// backends.
func Exchanged(link, s Session) Session {
	s.Kind, s.Workspace, s.Owner, s.Role, s.Subject = KindSession, link.Workspace, link.Owner, link.Role, link.Subject
	s.MadeBy, s.ScopesAllowed, s.ReturnURL, s.Login = link.MadeBy, link.ScopesAllowed, link.ReturnURL, false
	return s
}
