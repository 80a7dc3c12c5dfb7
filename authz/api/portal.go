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

// Policy limits a workspace's keys, and names the webhook for keys that expire soon. It has the fields of store.Policy.
type Policy struct {
	Scopes             []OfferedScope `json:"scopes,omitempty" nullable:"false" maxItems:"64"`
	MaxExpiresIn       int64          `json:"max_expires_in,omitempty" minimum:"0" is:"lifetime"`
	DefaultExpiresIn   int64          `json:"default_expires_in,omitempty" minimum:"0" is:"lifetime"`
	KeysPerOwner       int            `json:"keys_per_owner,omitempty" minimum:"0" maximum:"100000"`
	PortalNeverExpires bool           `json:"portal_never_expires,omitempty"`
	DefaultAudience    []string       `json:"default_audience,omitempty" nullable:"false" maxItems:"16"`
	Webhook            string         `json:"webhook,omitempty" is:"url"`
	Expiry             string         `json:"expiry,omitempty" enum:"claim,publication"`
	TokenType          string         `json:"token_type,omitempty" enum:"JWT,at+jwt"`
	Exchange           Exchange       `json:"exchange,omitzero"`
}

// OfferedScope is a scope that keys may have, Exchange the exchange of keys for access tokens, and OIDC an OpenID provider for
// logins to the portal, as stored.
type (
	Exchange     = store.Exchange
	OfferedScope = store.OfferedScope
	OIDC         = store.OIDC
)

// Portal describes how a workspace's page for its customers looks and how they log in. It has the fields of store.Portal.
type Portal struct {
	DisplayName    string   `json:"display_name,omitempty" is:"text" doc:"Default: the workspace's name"`
	BaseURL        string   `json:"base_url,omitempty" is:"url" doc:"Address of the API that the keys are for, for the page's example"`
	Accent         string   `json:"accent,omitempty" is:"color" doc:"Stored in lower case"`
	LogoHash       string   `json:"-"`
	FrameAncestors []string `json:"frame_ancestors,omitempty" nullable:"false" maxItems:"16" doc:"Origins that may embed the portal"`
	OIDC           *OIDC    `json:"oidc,omitempty" doc:"Login by an OpenID provider. Only the scope admin may change it"`
	Logo           []byte   `json:"logo,omitempty" doc:"A PNG picture of at most 64 KiB, in base64"`
}

// NewPortalSession is the body that makes a link to the portal.
type NewPortalSession struct {
	Role          string    `json:"role,omitempty" enum:"owner,operator"`
	Owner         string    `json:"owner,omitempty" is:"owner"`
	ScopesAllowed *[]string `json:"scopes_allowed,omitempty" nullable:"false" is:"scopes"`
	Subject       string    `json:"subject,omitempty" is:"owner"`
	ReturnURL     string    `json:"return_url,omitempty" is:"web URL" doc:"Address that the portal links back to"`
	Environments  []string  `json:"environments,omitempty" nullable:"false" is:"workspaces"`
	ExpiresIn     *int64    `json:"expires_in,omitempty" minimum:"60" maximum:"3600" doc:"Seconds until the link is void; default 600"`
}

// PortalSession is a link to the portal, which opens one session.
type PortalSession struct {
	URL       string    `json:"url" doc:"Opens one session, for the first person who uses it; send it to that person only"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (a *api) portalSessions(h huma.API) {
	const path = " /v1/workspaces/{ws}/portal-sessions"
	write := []string{authz.ScopeKeysWrite}
	register(a, h, call{
		id: "create-portal-session", route: "POST" + path, summary: "Make a link to the portal for an owner or an operator",
		scopes: write, status: http.StatusCreated,
	}, body(a.createPortalSession))
	register(a, h, call{
		id: "end-portal-sessions", route: "DELETE" + path, summary: "End the sessions and links of an owner, or of all", scopes: write,
		description: "They end at once, also sessions by a login. Without an owner, all of the workspace end, including operators', which " +
			"requires the scope admin. Revoking a management key ends the sessions and links that it made.",
	}, body(a.endPortalSessions))
}

func (a *api) createPortalSession(ctx context.Context, in *struct {
	WSPath
	Body NewPortalSession
},
) (link PortalSession, err error) {
	if err := a.mayLink(ctx, in.WS, in.Body); err != nil {
		return link, err
	}
	caller := principal(ctx).KeyID
	r := authz.LinkRequest{
		Role: in.Body.Role, Owner: in.Body.Owner, ReturnURL: in.Body.ReturnURL, ExpiresIn: in.Body.ExpiresIn,
		Environments: in.Body.Environments, MadeBy: caller, Subject: cmp.Or(in.Body.Subject, caller.String()),
	}
	if in.Body.ScopesAllowed != nil {
		r.ScopesAllowed = append([]string{}, *in.Body.ScopesAllowed...)
	}
	secret, session, err := a.service.PortalLink(ctx, in.WS, r)
	return PortalSession{URL: a.service.PortalLinkURL(secret), ExpiresAt: session.ExpiresAt}, err
}

// mayLink returns nil if the caller may make the link in each workspace that it opens. A refusal is recorded in the audit.
func (a *api) mayLink(ctx context.Context, workspace string, link NewPortalSession) error {
	const operation = "create-portal-session"
	for _, id := range append([]string{workspace}, link.Environments...) {
		if link.Role == store.RoleOperator {
			if err := a.mayOperate(ctx, id, operation); err != nil {
				return err
			}
		} else if err := principal(ctx).May(id, authz.ScopeKeysWrite); err != nil {
			a.noteRefusal(ctx, id, operation)
			return err
		}
	}
	return nil
}

type endInput struct {
	WSPath
	Owner string `query:"owner" minLength:"1" doc:"The owner whose keys it shows; absent for an operator"`
}

// Resolve implements huma.Resolver. It refuses unknown parameters, which huma ignores here: a
// misspelt "owner" must not end the sessions of all owners.
func (in *endInput) Resolve(ctx huma.Context) []error {
	target := ctx.URL()
	for name := range target.Query() {
		if name != "owner" {
			return []error{&huma.ErrorDetail{Location: "query." + clip(name), Message: "must be absent"}}
		}
	}
	return nil
}

// EndedSessions is the number of ended sessions.
type EndedSessions struct {
	Ended int `json:"ended"`
}

func (a *api) endPortalSessions(ctx context.Context, in *endInput) (ended EndedSessions, err error) {
	if in.Owner == "" {
		if err := a.mayOperate(ctx, in.WS, "end-portal-sessions"); err != nil {
			return ended, err
		}
	}
	ended.Ended, err = a.service.EndSessions(ctx, in.WS, in.Owner)
	return ended, err
}

// mayOperate returns nil if the caller may make a link for an operator. The scope keys:write is not enough,
// since an operator can read the audit and the keys of all owners. A refusal is recorded in the audit.
func (a *api) mayOperate(ctx context.Context, workspace, operation string) error {
	err := principal(ctx).May(workspace, authz.ScopeAdmin)
	if err != nil {
		a.noteRefusal(ctx, workspace, operation)
	}
	return err
}
