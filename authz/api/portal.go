package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// Policy is what a workspace's keys may be, and who is told that one expires.
type Policy struct {
	Scopes             []OfferedScope `json:"scopes,omitempty" nullable:"false" maxItems:"64" doc:"Scopes that keys may have. If empty: any through the API, none through the portal"`
	MaxExpiresIn       seconds        `json:"max_expires_in,omitempty" minimum:"0" is:"lifetime" doc:"Seconds; 0: ten years through the API, one through the portal. Any maximum rules out keys that never expire"`
	DefaultExpiresIn   seconds        `json:"default_expires_in,omitempty" minimum:"0" is:"lifetime" doc:"Seconds; 0: 90 days, or the maximum if that is shorter"`
	KeysPerOwner       int            `json:"keys_per_owner,omitempty" minimum:"0" maximum:"100000" doc:"Active keys that one owner may have; 0: unlimited"`
	PortalNeverExpires bool           `json:"portal_never_expires,omitempty" doc:"Whether owners may create keys that never expire in the portal, if allow_never_expires permits it and there is no maximum"`
	DefaultAudience    []string       `json:"default_audience,omitempty" nullable:"false" maxItems:"16" doc:"Audience of keys that name no other; if empty, all audiences of the workspace"`
	Webhook            string         `json:"webhook,omitempty" is:"url" doc:"An https URL that receives a POST 14, 7 and 1 day before a key expires. Put no secret in it: everyone who may read the workspace or its audit sees it"`
}

// OfferedScope is one that keys may have.
type OfferedScope struct {
	Name        string `json:"name" is:"scope"`
	Description string `json:"description,omitempty" is:"text" doc:"What it permits, for customers to read"`
}

// Portal is how a workspace's page for its customers looks, and who may open it.
type Portal struct {
	DisplayName    string   `json:"display_name,omitempty" is:"text" doc:"The workspace's name, where empty"`
	BaseURL        string   `json:"base_url,omitempty" is:"url" doc:"Of the API that the keys are for; shown in an example"`
	Accent         string   `json:"accent,omitempty" pattern:"^(#[0-9a-fA-F]{6})?$" patternDescription:"# and six hexadecimal digits" doc:"Kept in lower case"`
	Logo           []byte   `json:"logo,omitempty" doc:"A PNG picture of at most 64 KiB, in base64"`
	FrameAncestors []string `json:"frame_ancestors,omitempty" nullable:"false" maxItems:"16" doc:"Origins whose pages may embed it"`
	OIDC           *OIDC    `json:"oidc,omitempty" doc:"Login by an OpenID provider. To change it takes the scope admin"`
}

// OIDC is an OpenID provider by whom people log in.
type OIDC struct {
	Issuer        string `json:"issuer" is:"url"`
	ClientID      string `json:"client_id" is:"text"`
	OwnerClaim    string `json:"owner_claim,omitempty" is:"text" doc:"The claim that names the owner; required but in the workspace burnkey, which operators alone log in to"`
	OperatorClaim string `json:"operator_claim,omitempty" is:"text" doc:"The claim that makes an operator"`
	OperatorValue string `json:"operator_value,omitempty" is:"text" doc:"What that claim must be or contain"`
}

// policy returns what is kept; the zero Policy for none.
func (p *Policy) policy() store.Policy {
	if p == nil {
		return store.Policy{}
	}
	kept := store.Policy{
		MaxExpiresIn: int64(p.MaxExpiresIn), DefaultExpiresIn: int64(p.DefaultExpiresIn),
		KeysPerOwner: p.KeysPerOwner, PortalNeverExpires: p.PortalNeverExpires, DefaultAudience: p.DefaultAudience, Webhook: p.Webhook,
	}
	for _, scope := range p.Scopes {
		kept.Scopes = append(kept.Scopes, store.OfferedScope(scope))
	}
	return kept
}

func showPolicy(p store.Policy) Policy {
	shown := Policy{
		MaxExpiresIn: seconds(p.MaxExpiresIn), DefaultExpiresIn: seconds(p.DefaultExpiresIn),
		KeysPerOwner: p.KeysPerOwner, PortalNeverExpires: p.PortalNeverExpires, DefaultAudience: p.DefaultAudience, Webhook: p.Webhook,
	}
	for _, scope := range p.Scopes {
		shown.Scopes = append(shown.Scopes, OfferedScope(scope))
	}
	return shown
}

// portal returns what is kept; the zero Portal for none.
func (p *Portal) portal() store.Portal {
	if p == nil {
		return store.Portal{}
	}
	return store.Portal{
		DisplayName: p.DisplayName, BaseURL: p.BaseURL, Accent: p.Accent, Logo: p.Logo,
		FrameAncestors: p.FrameAncestors, OIDC: (*store.OIDC)(p.OIDC),
	}
}

// showPortal is without the logo.
func showPortal(p store.Portal) Portal {
	return Portal{
		DisplayName: p.DisplayName, BaseURL: p.BaseURL, Accent: p.Accent,
		FrameAncestors: p.FrameAncestors, OIDC: (*OIDC)(p.OIDC),
	}
}

// NewPortalSession is the body that makes a link to the portal.
type NewPortalSession struct {
	Role          string    `json:"role,omitempty" enum:"owner,operator" doc:"owner, also where absent, or operator: the producer's own staff, who see the keys of all owners. That takes the scope admin; in the workspace burnkey, where it makes an operator of all workspaces, of a key that is tied to none"`
	Owner         string    `json:"owner,omitempty" is:"owner" doc:"Whose keys it shows; required but for an operator, for whom it must be absent"`
	ScopesAllowed *[]string `json:"scopes_allowed,omitempty" nullable:"false" is:"scopes" doc:"Scopes that keys created in this session may have; default: those of the policy. Absent for operators, who create no keys"`
	Subject       string    `json:"subject,omitempty" is:"owner" doc:"Who it is for, such as jane@acme.example: what is done there has it as the actor's id in the audit; the id of the key that makes the call, where absent"`
	ReturnURL     string    `json:"return_url,omitempty" pattern:"^(https?://[!-~]+)?$" patternDescription:"an http(s) URL" is:"url" doc:"Where its way back leads"`
	ExpiresIn     *seconds  `json:"expires_in,omitempty" minimum:"60" maximum:"3600" doc:"Seconds until the link is void; 600 where absent"`
}

// PortalSession is a link that opens one session.
type PortalSession struct {
	URL       string    `json:"url" doc:"For them alone, and good once: whoever opens it first gets the session"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (a *api) portalSessions(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "create-portal-session", Method: http.MethodPost, Path: "/v1/workspaces/{ws}/portal-sessions",
		Summary: "Make a link by which an owner manages their keys, or an operator everybody's", BodyReadTimeout: bodyWasRead,
		DefaultStatus: http.StatusCreated, Security: anyOf(authz.ScopeKeysWrite), Errors: []int{400, 401, 403, 404, 408, 413, 415, 429, 503},
	}, a.createPortalSession)
	huma.Register(h, huma.Operation{
		OperationID: "end-portal-sessions", Method: http.MethodDelete, Path: "/v1/workspaces/{ws}/portal-sessions",
		Summary: "End an owner's sessions and links, or all", Security: anyOf(authz.ScopeKeysWrite), Errors: []int{401, 403, 404, 503},
		Description: "At once, also those by a login. Without an owner, all of the workspace's end, operators' among them, which takes the " +
			"scope admin. Revoking a management key ends by itself what it made.",
	}, a.endPortalSessions)
}

func (a *api) createPortalSession(ctx context.Context, in *struct {
	WSPath
	Body NewPortalSession
},
) (*struct{ Body PortalSession }, error) {
	if in.Body.Role == store.RoleOperator {
		if err := a.mayOperate(ctx, in.WS, "create-portal-session"); err != nil {
			return nil, a.problem(ctx, err)
		}
	}
	caller := principal(ctx).KeyID
	r := authz.LinkRequest{
		Role: in.Body.Role, Owner: in.Body.Owner, ReturnURL: in.Body.ReturnURL, ExpiresIn: (*int64)(in.Body.ExpiresIn),
		MadeBy: caller, Subject: cmp.Or(in.Body.Subject, caller.String()),
	}
	if in.Body.ScopesAllowed != nil {
		r.ScopesAllowed = append([]string{}, *in.Body.ScopesAllowed...)
	}
	secret, session, err := a.service.PortalLink(ctx, in.WS, r)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &struct{ Body PortalSession }{PortalSession{URL: a.service.PortalLinkURL(secret), ExpiresAt: session.ExpiresAt}}, nil
}

type endInput struct {
	WSPath
	Owner string `query:"owner" minLength:"1" doc:"Whose; everybody's, where absent"`
}

// Resolve implements huma.Resolver. It refuses unknown parameters, which huma ignores: a
// misspelt owner must not end everybody's sessions.
func (in *endInput) Resolve(ctx huma.Context) []error {
	target := ctx.URL()
	for name := range target.Query() {
		if name != "owner" {
			return []error{&huma.ErrorDetail{Location: "query." + clip(name), Message: "must be absent"}}
		}
	}
	return nil
}

// EndedSessions says how many there were.
type EndedSessions struct {
	Ended int `json:"ended"`
}

func (a *api) endPortalSessions(ctx context.Context, in *endInput) (*struct{ Body EndedSessions }, error) {
	if in.Owner == "" {
		if err := a.mayOperate(ctx, in.WS, "end-portal-sessions"); err != nil {
			return nil, a.problem(ctx, err)
		}
	}
	ended, err := a.service.EndSessions(ctx, in.WS, in.Owner)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &struct{ Body EndedSessions }{EndedSessions{ended}}, nil
}

// mayOperate returns nil if the caller may let somebody do what an operator does, which
// is more than keys:write: to read the audit, and the keys of all. A refusal is noted as
// those by authorize are.
func (a *api) mayOperate(ctx context.Context, workspace, operation string) error {
	err := principal(ctx).May(workspace, authz.ScopeAdmin)
	if err != nil {
		a.noteRefusal(ctx, workspace, operation)
	}
	return err
}
