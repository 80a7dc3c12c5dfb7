package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

// Scopes of management keys.
const (
	ScopeAdmin           = "admin" // everything
	ScopeKeysRead        = "keys:read"
	ScopeKeysWrite       = "keys:write"
	ScopeWorkspacesRead  = "workspaces:read"
	ScopeWorkspacesWrite = "workspaces:write"
	ScopeAuditRead       = "audit:read"
	// ScopeGateway is for gateways: it allows them to list workspaces and to report when keys were used.
	ScopeGateway = "gateway"
)

// ManagementScopes returns all scopes of management keys.
func ManagementScopes() []string {
	return []string{
		ScopeAdmin, ScopeKeysRead, ScopeKeysWrite, ScopeWorkspacesRead, ScopeWorkspacesWrite, ScopeAuditRead, ScopeGateway,
	}
}

// management refuses the scopes of a management key if there are none or one is unknown, for example misspelt.
func (e *InputError) management(scopes []string) {
	known := ManagementScopes()
	isUnknown := func(scope string) bool { return !slices.Contains(known, scope) }
	if len(scopes) == 0 || slices.ContainsFunc(scopes, isUnknown) {
		e.Add("scopes", RuleUnknownScope, "values", strings.Join(known, ", "))
	}
}

// TieClaim is the claim that ties a management key to one workspace.
const TieClaim = "workspace"

// Principal is the caller of a management call: the holder of a key of Home.
type Principal struct {
	KeyID uuid.UUID
	KID   jwks.KID
	Owner string
	// Workspace to which the key is tied, or empty.
	Workspace string
	// Moved means that the key was issued under a public URL other than the server's present one.
	Moved  bool
	scopes []string
}

// Authenticate returns the holder of a management key. Errors: ErrUnauthenticated for an invalid token; any
// other error means that the token could not be checked.
func (s *Service) Authenticate(token string) (*Principal, error) {
	set, ok := s.publisher.Set(Home)
	if !ok && s.publisher.Unread(Home) {
		return nil, errors.New("the management keys can't be read")
	}
	if !ok {
		return nil, ErrUnauthenticated
	}
	p, err := s.holder(set, token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnauthenticated, err)
	}
	return p, nil
}

func (s *Service) holder(set *publish.Set, token string) (*Principal, error) {
	verifier := jwks.Verifier{
		Keys: set,
		// The rest of iss is the public URL at the time of issue. If the public URL changes, operators must
		// still be able to log in.
		Issuer: func(iss string) bool { return strings.HasSuffix(iss, jwks.IssuerPath+Home) },
		// The audience does not matter, since only the management API accepts these keys.
		AnyAudience: true,
		Now:         s.now,
	}
	claims, err := verifier.Verify(token)
	if err != nil {
		return nil, err
	}
	if claims.HasParent() { // rights are checked by the key that signed the token
		return nil, errors.New("access tokens of the exchange are not accepted")
	}
	p := &Principal{Owner: claims.Subject, scopes: claims.Scopes(), Moved: claims.Issuer != s.Issuer(Home)}
	if p.Workspace, err = tieOf(claims.Extra); err != nil {
		return nil, err
	}
	if p.KeyID, err = uuid.Parse(claims.ID); err != nil {
		return nil, err
	}
	parsed, err := jwks.Parse(token)
	if err != nil {
		return nil, err
	}
	p.KID = parsed.KID
	return p, nil
}

// tieOf returns the workspace that the claims tie a key to, or "". An unreadable claim is an error: without the
// tie, the key would have more rights.
func tieOf(extra []byte) (string, error) {
	if len(extra) == 0 {
		return "", nil
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(extra, &members); err != nil {
		return "", err
	}
	value, named := members[TieClaim]
	if !named {
		return "", nil
	}
	var workspace string // null leaves it empty, which is not a valid id
	if err := json.Unmarshal(value, &workspace); err != nil {
		return "", fmt.Errorf("the claim %s is not a string", TieClaim)
	}
	return workspace, CheckWorkspaceID("claims."+TieClaim, workspace)
}

// tie refuses the claims of a management key that Authenticate would refuse, and any other claim: with a
// misspelt tie, the key would not be tied.
func (e *InputError) tie(claims jsontext.Value) {
	if _, err := tieOf(claims); err != nil {
		e.Add("claims."+TieClaim, RuleNotWorkspaceID)
	}
	var members map[string]jsontext.Value
	if json.Unmarshal(claims, &members) == nil {
		delete(members, TieClaim)
		if len(members) > 0 {
			e.Add("claims", RuleUnknownClaim, "claim", TieClaim, "workspace", Home)
		}
	}
}

// May returns nil if the principal has one of the scopes in a workspace, else ErrForbidden. The workspace ""
// means all workspaces. Home requires an admin key that is not tied to a workspace: any other key that can
// change Home could issue a key with more rights.
func (p *Principal) May(workspace string, scopes ...string) error {
	admin := slices.Contains(p.scopes, ScopeAdmin)
	has := admin || slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(p.scopes, s) })
	switch {
	case !has:
		return fmt.Errorf("%w: it needs the scope %s", ErrForbidden, strings.Join(withAdmin(scopes), " or "))
	case p.Workspace != "" && workspace != p.Workspace:
		return fmt.Errorf("%w: it is tied to another workspace", ErrForbidden)
	case workspace == Home && (!admin || p.Workspace != ""):
		return fmt.Errorf("%w: the workspace %s takes the scope %s, untied", ErrForbidden, Home, ScopeAdmin)
	}
	return nil
}

// withAdmin returns scopes and admin, each once.
func withAdmin(scopes []string) []string {
	isAdmin := func(scope string) bool { return scope == ScopeAdmin }
	return append(slices.DeleteFunc(slices.Clone(scopes), isAdmin), ScopeAdmin)
}
