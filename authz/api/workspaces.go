package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"

	"github.com/burnkey/burnkey/jwks"
)

// Workspace is a workspace as the API shows it.
type Workspace struct {
	ID                string           `json:"id"`
	Name              string           `json:"name"`
	Audiences         []string         `json:"audiences" nullable:"false" doc:"Audiences that its keys may have"`
	AllowNeverExpires bool             `json:"allow_never_expires" doc:"Whether keys without exp may be issued, if the policy sets no maximum"`
	TokenPrefix       string           `json:"token_prefix,omitempty" doc:"Text before the JWT in each token; absent: none"`
	BareTokensUntil   *time.Time       `json:"bare_tokens_until,omitempty" doc:"Until then, tokens without the prefix are valid, too"`
	Policy            *Policy          `json:"policy,omitempty" doc:"Not in lists; requires the scope workspaces:read"`
	Portal            *Portal          `json:"portal,omitempty" doc:"Not in lists; requires the scope workspaces:read"`
	Environment       string           `json:"environment" doc:"Name of the environment that it is"`
	EnvironmentOf     string           `json:"environment_of,omitempty" doc:"The workspace that it is an environment of; absent: none"`
	Inherits          []string         `json:"inherits,omitempty" nullable:"false" enum:"policy,portal"`
	Environments      []EnvironmentRef `json:"environments,omitempty" nullable:"false" doc:"Its environments, if it has any; not in lists"`
	Issuer            string           `json:"issuer" doc:"iss of its tokens"`
	JWKSURI           string           `json:"jwks_uri" doc:"Address of the published keys"`
	Version           uint64           `json:"version" doc:"Of the published set"`
	CreatedAt         time.Time        `json:"created_at"`
	UpdatedAt         time.Time        `json:"updated_at"`

	UsageSince      *time.Time `json:"usage_since" doc:"Since this time gateways have reported every use; null: no reports"`
	UsageUntil      *time.Time `json:"usage_until" doc:"Up to this time uses have been reported; null: no reports"`
	UsageReportedAt *time.Time `json:"usage_reported_at" doc:"Time of the latest report; null: no reports"`
}

// EnvironmentRef names an environment of a workspace.
type EnvironmentRef struct {
	ID          string `json:"id" doc:"The workspace that is the environment"`
	Environment string `json:"environment" doc:"Its name"`
}

// NewWorkspace is the body that creates a workspace.
type NewWorkspace struct {
	ID                string   `json:"id" is:"workspace"`
	Name              string   `json:"name,omitempty" is:"name" doc:"Default: the id"`
	Audiences         []string `json:"audiences,omitempty" nullable:"false" is:"audiences" doc:"Default: the id"`
	AllowNeverExpires *bool    `json:"allow_never_expires,omitempty" doc:"Default: true. Absent for an environment, which inherits it"`
	TokenPrefix       string   `json:"token_prefix,omitempty" is:"prefix" doc:"Text before the JWT in each token; default: none"`
	Environment       string   `json:"environment,omitempty" is:"environment"`
	EnvironmentOf     string   `json:"environment_of,omitempty" is:"workspace"`
}

// WorkspacePage selects a page of workspaces.
type WorkspacePage struct {
	Page
	EnvironmentOf string `query:"environment_of" doc:"Only environments of this workspace"`
}

// WorkspaceList is one page.
type WorkspaceList struct {
	Workspaces []Workspace `json:"workspaces" nullable:"false"`
	NextCursor *string     `json:"next_cursor" doc:"For the next page, also if this one is short or empty; null on the last page"`
}

type (
	workspaceParam struct{ WSPath }

	WSPath struct {
		WS string `path:"ws" doc:"The workspace's id"`
	}
)

func (a *api) workspaces(h huma.API) {
	const list, one = " /v1/workspaces", " /v1/workspaces/{ws}"
	read, write := []string{authz.ScopeWorkspacesRead, authz.ScopeKeysRead, authz.ScopeGateway}, []string{authz.ScopeWorkspacesWrite}
	register(a, h, call{
		id: "create-workspace", route: "POST" + list, summary: "Create a workspace", scopes: write,
		status: http.StatusCreated, errors: []int{409},
		description: "With environment_of, it is an environment of that workspace: it has keys and an issuer of its own, and inherits " +
			"policy, portal and plans until it has its own. Without the scope workspaces:read, the answer has no settings then.",
	}, a.createWorkspace)
	register(a, h, call{
		id: "list-workspaces", route: "GET" + list, summary: "List the workspaces that the key may see", scopes: read, errors: []int{422},
	}, body(a.listWorkspaces))
	register(a, h, call{id: "get-workspace", route: "GET" + one, summary: "Show a workspace", scopes: read}, body(a.getWorkspace))
	register(a, h, call{
		id: "update-workspace", route: "PATCH" + one, summary: "Change a workspace; keys already issued stay as they are",
		scopes: write,
		description: "A JSON Merge Patch (RFC 7396), also of policy, portal and portal.oidc: absent members stay as they are, null resets " +
			"a member to its default, and lists are replaced. Changing portal.oidc, by which operators log in, requires the scope admin. " +
			"A workspace that has no token_prefix can get one, together with bare_tokens_until, and keeps it. " +
			"Without the scope workspaces:read, the answer has no settings. A change also changes the environments that inherit the part. " +
			"An environment whose policy (with allow_never_expires) or portal is changed has its own from then on; null inherits it again, " +
			"which for portal requires the scope admin. Audiences, policy.default_audience and portal.base_url are never inherited.",
	}, body(a.updateWorkspace))
}

func (a *api) createWorkspace(ctx context.Context, in *struct{ Body NewWorkspace }) (*located[Workspace], error) {
	if in.Body.EnvironmentOf != "" && in.Body.AllowNeverExpires != nil {
		return nil, authz.Invalid("allow_never_expires", authz.RuleAbsentForNew)
	}
	w, err := a.service.CreateWorkspace(ctx, authz.WorkspaceRequest{
		ID: in.Body.ID, Name: in.Body.Name, Audiences: in.Body.Audiences,
		AllowNeverExpires: in.Body.AllowNeverExpires == nil || *in.Body.AllowNeverExpires, TokenPrefix: in.Body.TokenPrefix,
		Environment: in.Body.Environment, EnvironmentOf: in.Body.EnvironmentOf,
	})
	shown := a.showWorkspace(w)
	if w.EnvironmentOf != "" && !mayRead(ctx, w.ID, authz.ScopeWorkspacesRead) {
		shown = a.listed(w) // the caller did not choose the settings
	}
	return &located[Workspace]{"/v1/workspaces/" + w.ID, shown}, err
}

func (a *api) listWorkspaces(ctx context.Context, in *WorkspacePage) (list WorkspaceList, err error) {
	found, next, err := a.workspacesFrom(ctx, in)
	list.Workspaces = []Workspace{}
	if next != "" {
		list.NextCursor = cursor(next)
	}
	for _, w := range found {
		list.Workspaces = append(list.Workspaces, a.listed(w))
	}
	return list, err
}

// workspacesFrom returns a page of the workspaces that the caller may see.
func (a *api) workspacesFrom(ctx context.Context, in *WorkspacePage) (found []store.Workspace, next string, err error) {
	if tie := principal(ctx).Workspace; tie != "" {
		w, err := a.service.Workspace(ctx, tie)
		if errors.Is(err, authz.ErrNotFound) { // a key may be tied to a workspace that does not exist yet
			return nil, "", nil
		}
		if in.EnvironmentOf != "" && w.EnvironmentOf != in.EnvironmentOf {
			return nil, "", err
		}
		return []store.Workspace{w}, "", err
	}
	if next, err = in.afterWorkspace(); err != nil {
		return nil, "", err
	}
	for {
		found, next, err = a.service.Workspaces(ctx, store.WorkspaceFilter{After: next, Limit: in.Limit, EnvironmentOf: in.EnvironmentOf})
		if principal(ctx).May(authz.Home) != nil {
			found = slices.DeleteFunc(found, func(w store.Workspace) bool { return w.ID == authz.Home })
		}
		if err != nil || len(found) > 0 || next == "" {
			return found, next, err
		}
	}
}

func (a *api) getWorkspace(ctx context.Context, in *workspaceParam) (Workspace, error) {
	w, err := a.service.Workspace(ctx, in.WS)
	if err != nil || !mayRead(ctx, in.WS, authz.ScopeWorkspacesRead) {
		return a.listed(w), err // with keys:read or gateway alone, no settings are shown
	}
	return a.showWithLogo(ctx, w)
}

func (a *api) updateWorkspace(ctx context.Context, in *struct {
	WSPath
	Body    WorkspacePatch
	RawBody []byte `contentType:"application/merge-patch+json"`
},
) (shownWorkspace, error) {
	merge := mergeOf(in.RawBody)
	w, err := a.service.UpdateWorkspace(ctx, in.WS, func(w *store.Workspace) error {
		former, inherited := w.Portal.Clone().OIDC, w.InheritsPart(store.PartPortal)
		err := merge(w)
		if err != nil || sameOIDC(former, w.Portal.OIDC) && w.InheritsPart(store.PartPortal) == inherited {
			return err
		}
		// This change requires admin, since a caller that decides who is an operator can become an operator.
		return principal(ctx).May(in.WS, authz.ScopeAdmin)
	})
	if errors.Is(err, authz.ErrForbidden) {
		a.noteRefusal(ctx, in.WS, "update-workspace")
	}
	if err != nil {
		return shownWorkspace{}, err
	}
	return a.workspaceForCaller(ctx, w)
}

func sameOIDC(a, b *store.OIDC) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// showWithLogo returns a workspace with its logo and its environments.
func (a *api) showWithLogo(ctx context.Context, w store.Workspace) (Workspace, error) {
	shown := a.showWorkspace(w)
	environments, err := a.service.Environments(ctx, &w)
	if err != nil {
		return shown, err
	}
	for _, e := range environments {
		shown.Environments = append(shown.Environments, EnvironmentRef{e.ID, e.EnvironmentName()})
	}
	if w.Portal.LogoHash == "" {
		return shown, nil
	}
	logo, err := a.service.Logo(ctx, w.ID)
	if errors.Is(err, authz.ErrNotFound) { // it was removed meanwhile
		err = nil
	}
	shown.Portal.Logo = logo
	return shown, err
}

// listed returns a workspace without policy and portal, for lists and gateways: both can take 100 KiB, and a
// list can have a thousand workspaces.
func (a *api) listed(w store.Workspace) Workspace {
	shown := a.showWorkspace(w)
	shown.Policy, shown.Portal = nil, nil
	return shown
}

func (a *api) showWorkspace(w store.Workspace) Workspace {
	policy, portal := Policy(w.Policy), Portal(w.Portal)
	issuer := a.service.Issuer(w.ID)
	return Workspace{
		ID: w.ID, Name: w.Name, Audiences: w.Audiences, AllowNeverExpires: w.AllowNeverExpires,
		TokenPrefix: w.Settings.TokenPrefix, BareTokensUntil: optionalTime(w.Settings.BareUntil), Policy: &policy, Portal: &portal,
		Environment: w.EnvironmentName(), EnvironmentOf: w.EnvironmentOf, Inherits: w.Inherits,
		Issuer: issuer, JWKSURI: issuer + jwks.SetPath, Version: w.Version,
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
		UsageSince: optionalTime(w.Usage.Since), UsageUntil: optionalTime(w.Usage.Until), UsageReportedAt: optionalTime(w.Usage.At),
	}
}
