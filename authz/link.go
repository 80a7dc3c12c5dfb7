package authz

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// LinkRequest requests a link to the portal for an owner or an operator.
type LinkRequest struct {
	// Role is store.RoleOwner, the default, or store.RoleOperator. An operator sees the keys of all owners and
	// can't make keys. Home has only operators, who manage all workspaces: see OperatesAll.
	Role  string
	Owner string // empty for an operator
	// ScopesAllowed has the scopes that keys made in the session can have. Nil: all that the workspace offers.
	ScopesAllowed []string
	// ReturnURL is the address that the portal links back to, or empty.
	ReturnURL string
	// ExpiresIn is the link's lifetime in seconds; nil: DefaultLinkLife.
	ExpiresIn *int64
	// Environments are further workspaces that the link opens: the first workspace and its environments.
	Environments []string
	// MadeBy is the calling management key, or uuid.Nil. Revoking this key ends the link and its session.
	MadeBy uuid.UUID
	// Subject names, for the audit, the person that the link is for. It must be valid as an owner, or empty.
	Subject string
}

// PortalLink makes a link that opens one session, and one in each of the Environments. Errors: InputError,
// *BudgetError, ErrNotFound.
func (s *Service) PortalLink(ctx context.Context, workspace string, r LinkRequest) (Secret, store.Session, error) {
	w, err := s.store.Workspace(ctx, workspace)
	if err != nil {
		return "", store.Session{}, err
	}
	life := DefaultLinkLife
	var bad InputError
	role := bad.role(&w, r)
	opened, err := s.opens(ctx, &w, r, &bad)
	if err != nil {
		return "", store.Session{}, err
	}
	if r.Subject != "" {
		bad.owner("subject", r.Subject)
	}
	if r.ReturnURL != "" {
		bad.webURL("return_url", r.ReturnURL)
	}
	if r.ExpiresIn != nil {
		if seconds := *r.ExpiresIn; seconds < int64(MinLinkLife/time.Second) || seconds > int64(MaxLinkLife/time.Second) {
			bad.Add("expires_in", RuleSecondsOutOfRange, "min", MinLinkLife.Seconds(), "max", MaxLinkLife.Seconds())
		} else {
			life = time.Duration(seconds) * time.Second
		}
	}
	if err := bad.err(); err != nil {
		return "", store.Session{}, err
	}
	if err := s.spend(ctx, changeCost*(1+len(opened))); err != nil {
		return "", store.Session{}, err
	}
	return s.newLinks(ctx, store.Session{
		Kind: store.KindLink, Workspace: workspace, Owner: r.Owner, Role: role, MadeBy: r.MadeBy, Subject: r.Subject,
		ScopesAllowed: slices.Clone(r.ScopesAllowed), ReturnURL: r.ReturnURL,
	}, opened, life)
}

// linkMark is the length of the mark at the end of a link's secret, which identifies the person that the link
// is for. If a person who is logged in opens a used link again, the portal can then show their keys. The other
// 192 bits are random.
const linkMark = 8 // bytes

func newLinkSecret(link *store.Session) (Secret, [sha256.Size]byte) {
	secret, _ := newSecret()
	raw, _ := base64.RawURLEncoding.DecodeString(secret.Reveal()) // never fails
	copy(raw[len(raw)-linkMark:], markOf(raw, link))
	text := base64.RawURLEncoding.EncodeToString(raw)
	return Secret(text), sha256.Sum256([]byte(text))
}

func markOf(raw []byte, s *store.Session) []byte {
	sum := sha256.Sum256(slices.Concat([]byte("burnkey link\x00"), raw[:len(raw)-linkMark],
		[]byte(strings.Join([]string{s.Workspace, s.Role, s.Owner}, "\x00"))))
	return sum[:linkMark]
}

// IsFor reports whether a link was made for the person in a session: for the same owner or operator of the same
// workspace. It returns false for links of earlier releases, which have no mark.
func IsFor(link Secret, s *store.Session) bool {
	raw, err := base64.RawURLEncoding.DecodeString(link.Reveal())
	return err == nil && len(raw) > linkMark && subtle.ConstantTimeCompare(raw[len(raw)-linkMark:], markOf(raw, s)) == 1
}

// PortalPath is the prefix of the portal's paths.
const PortalPath = "/portal"

// PortalLinkURL returns the URL of a link.
func (s *Service) PortalLinkURL(secret Secret) string {
	return s.publicURL + PortalPath + "/link/" + secret.Reveal()
}

// role checks the fields that depend on the role, and returns the role.
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
		e.Add("scopes_allowed", RuleOwnerless)
	}
	return role
}

// holder checks that role and owner fit.
func (e *InputError) holder(w *store.Workspace, role, owner string) {
	switch {
	case role == store.RoleOwner && w.ID == Home:
		e.Add("workspace", RuleOperatorsOnly, "workspace", Home)
	case role == store.RoleOwner:
		e.owner("owner", owner)
	case role != store.RoleOperator:
		e.Add("role", RuleNotOneOf, "values", store.RoleOwner+", "+store.RoleOperator)
	case owner != "":
		e.Add("owner", RuleOwnerless)
	}
}

// lifeBy returns the lifetime of a session that the link opens.
func lifeBy(link *store.Session) time.Duration {
	if link.Role == store.RoleOperator {
		return LoginLife
	}
	return SessionLife
}

// SpendLogin marks an OpenID login, identified by its state, as used on all servers. The mark is kept until the
// given time, from which on the caller must refuse the login as too old. Errors: ErrExists if the login was
// used before.
func (s *Service) SpendLogin(ctx context.Context, workspace, state string, until time.Time) error {
	ctx, cancel := settle(ctx)
	defer cancel()
	return s.store.SpendLogin(ctx, workspace, sha256.Sum256([]byte(state)), until)
}

// Login is a person identified by an OpenID provider.
type Login struct {
	// Role is store.RoleOwner or store.RoleOperator. An empty Owner alone does not make a person an operator.
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
