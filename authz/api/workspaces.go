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

// Workspace as the API shows it.
type Workspace struct {
	ID                string    `json:"id"`
	Name              string    `json:"name"`
	Audiences         []string  `json:"audiences" nullable:"false" doc:"Audiences that its keys may have"`
	AllowNeverExpires bool      `json:"allow_never_expires" doc:"Whether keys without exp may be issued, if the policy sets no maximum"`
	Policy            *Policy   `json:"policy,omitempty" doc:"Not in lists; requires the scope workspaces:read"`
	Portal            *Portal   `json:"portal,omitempty" doc:"Not in lists; requires the scope workspaces:read"`
	Issuer            string    `json:"issuer" doc:"iss of its tokens"`
	JWKSURI           string    `json:"jwks_uri" doc:"Address of the published keys"`
	Version           uint64    `json:"version" doc:"Of the published set"`
	CreatedAt         time.Time `json:"created_at"`
	UpdatedAt         time.Time `json:"updated_at"`

	UsageSince      *time.Time `json:"usage_since" doc:"Since this time gateways have reported every use; null: no reports"`
	UsageUntil      *time.Time `json:"usage_until" doc:"Up to this time uses have been reported; null: no reports"`
	UsageReportedAt *time.Time `json:"usage_reported_at" doc:"Time of the latest report; null: no reports"`
}

// NewWorkspace is the body that creates a workspace.
type NewWorkspace struct {
	ID                string   `json:"id" is:"workspace"`
	Name              string   `json:"name,omitempty" is:"name" doc:"Default: the id"`
	Audiences         []string `json:"audiences,omitempty" nullable:"false" is:"audiences" doc:"Default: the id"`
	AllowNeverExpires *bool    `json:"allow_never_expires,omitempty" doc:"Default: true"`
}

// WorkspaceList is one page.
type WorkspaceList struct {
	Workspaces []Workspace `json:"workspaces" nullable:"false"`
	NextCursor *string     `json:"next_cursor" doc:"For the next page, also if this one is short or empty; null on the last page"`
}

type (
	workspaceParam  struct{ WSPath }
	workspaceAnswer struct{ Body Workspace }
	createdAnswer   struct {
		Location string `header:"Location"`
		Body     Workspace
	}

	WSPath struct {
		WS string `path:"ws" doc:"The workspace's id"`
	}
	Page struct {
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of entries; a page also ends at about 1 MiB"`
		Cursor string `query:"cursor" maxLength:"128" doc:"next_cursor of the previous page"`
	}
)

func (a *api) workspaces(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "create-workspace", BodyReadTimeout: bodyWasRead, Method: http.MethodPost, Path: "/v1/workspaces",
		Summary: "Create a workspace", DefaultStatus: http.StatusCreated,
		Security: anyOf(authz.ScopeWorkspacesWrite), Errors: []int{400, 401, 403, 408, 409, 413, 415, 429, 503},
	}, a.createWorkspace)
	huma.Register(h, huma.Operation{
		OperationID: "list-workspaces", Method: http.MethodGet, Path: "/v1/workspaces",
		Summary: "List the workspaces that the key may see", Security: anyOf(authz.ScopeWorkspacesRead, authz.ScopeKeysRead, authz.ScopeGateway),
		Errors: []int{401, 403, 422, 503},
	}, a.listWorkspaces)
	huma.Register(h, huma.Operation{
		OperationID: "get-workspace", Method: http.MethodGet, Path: "/v1/workspaces/{ws}",
		Summary: "Show a workspace", Security: anyOf(authz.ScopeWorkspacesRead, authz.ScopeKeysRead, authz.ScopeGateway),
		Errors: []int{401, 403, 404, 503},
	}, a.getWorkspace)
	huma.Register(h, huma.Operation{
		OperationID: "update-workspace", BodyReadTimeout: bodyWasRead, Method: http.MethodPatch, Path: "/v1/workspaces/{ws}",
		Summary: "Change a workspace; keys already issued stay as they are", Security: anyOf(authz.ScopeWorkspacesWrite),
		Description: "A JSON Merge Patch (RFC 7396), also of policy, portal and portal.oidc: members that are absent stay as they are, " +
			"null resets a member to its default, and lists are replaced. Changing portal.oidc, by which operators log in, requires " +
			"the scope admin. " +
			"Without the scope workspaces:read, the answer has no settings.",
		Errors: []int{400, 401, 403, 404, 408, 413, 415, 429, 503},
	}, a.updateWorkspace)
	takesMergePatch(h.OpenAPI().Paths["/v1/workspaces/{ws}"].Patch)
}

func (a *api) createWorkspace(ctx context.Context, in *struct{ Body NewWorkspace }) (*createdAnswer, error) {
	w, err := a.service.CreateWorkspace(ctx, authz.WorkspaceRequest{
		ID: in.Body.ID, Name: in.Body.Name, Audiences: in.Body.Audiences,
		AllowNeverExpires: in.Body.AllowNeverExpires == nil || *in.Body.AllowNeverExpires,
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &createdAnswer{Location: "/v1/workspaces/" + w.ID, Body: a.showWorkspace(w)}, nil
}

func (a *api) listWorkspaces(ctx context.Context, in *Page) (*struct{ Body WorkspaceList }, error) {
	if tie := principal(ctx).Workspace; tie != "" {
		only := WorkspaceList{Workspaces: []Workspace{}}
		switch w, err := a.service.Workspace(ctx, tie); {
		case err == nil:
			only.Workspaces = append(only.Workspaces, a.listed(w))
		case !errors.Is(err, authz.ErrNotFound): // a key may be tied ahead of its workspace
			return nil, a.problem(ctx, err)
		}
		return &struct{ Body WorkspaceList }{only}, nil
	}
	after, err := in.after()
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	found, next, err := a.workspacesFrom(ctx, after, in.Limit)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	list := WorkspaceList{Workspaces: []Workspace{}}
	if next != "" {
		list.NextCursor = cursor(next)
	}
	for _, w := range found {
		list.Workspaces = append(list.Workspaces, a.listed(w))
	}
	return &struct{ Body WorkspaceList }{list}, nil
}

// workspacesFrom returns a page of the workspaces that the caller may see.
func (a *api) workspacesFrom(ctx context.Context, after string, limit int) (found []store.Workspace, next string, err error) {
	for next = after; ; {
		found, next, err = a.service.Workspaces(ctx, store.WorkspaceFilter{After: next, Limit: limit})
		if principal(ctx).May(authz.Home) != nil {
			found = slices.DeleteFunc(found, func(w store.Workspace) bool { return w.ID == authz.Home })
		}
		if err != nil || len(found) > 0 || next == "" {
			return found, next, err
		}
	}
}

func (a *api) getWorkspace(ctx context.Context, in *workspaceParam) (*workspaceAnswer, error) {
	w, err := a.service.Workspace(ctx, in.WS)
	if err == nil && !mayRead(ctx, in.WS, authz.ScopeWorkspacesRead) {
		return &workspaceAnswer{a.listed(w)}, nil // with keys:read or gateway alone, no settings are shown
	}
	return a.workspaceAnswer(ctx, w, err)
}

func (a *api) updateWorkspace(ctx context.Context, in *struct {
	WSPath
	Body    WorkspacePatch
	RawBody []byte `contentType:"application/merge-patch+json"`
},
) (*changedWorkspace, error) {
	merge := mergeOf(in.RawBody)
	w, err := a.service.UpdateWorkspace(ctx, in.WS, func(w *store.Workspace) error {
		former := w.Portal.Clone().OIDC
		if err := merge(w); err != nil || sameOIDC(former, w.Portal.OIDC) {
			return err
		}
		// A caller that decides who is an operator can become one.
		return principal(ctx).May(in.WS, authz.ScopeAdmin)
	})
	if errors.Is(err, authz.ErrForbidden) {
		a.noteRefusal(ctx, in.WS, "update-workspace")
	}
	return a.workspaceForCaller(ctx, w, err)
}

func sameOIDC(a, b *store.OIDC) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func (a *api) workspaceAnswer(ctx context.Context, w store.Workspace, err error) (*workspaceAnswer, error) {
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	shown := a.showWorkspace(w)
	if w.Portal.LogoHash != "" {
		shown.Portal.Logo, err = a.service.Logo(ctx, w.ID)
		if err != nil && !errors.Is(err, authz.ErrNotFound) { // it may be gone since
			return nil, a.problem(ctx, err)
		}
	}
	return &workspaceAnswer{shown}, nil
}

// listed returns a workspace without policy and portal, for lists and gateways: they may take 100 KiB,
// and a list may have a thousand workspaces.
func (a *api) listed(w store.Workspace) Workspace {
	shown := a.showWorkspace(w)
	shown.Policy, shown.Portal = nil, nil
	return shown
}

func (a *api) showWorkspace(w store.Workspace) Workspace {
	policy, portal := showPolicy(w.Policy), showPortal(w.Portal)
	issuer := a.service.Issuer(w.ID)
	return Workspace{
		ID: w.ID, Name: w.Name, Audiences: w.Audiences, AllowNeverExpires: w.AllowNeverExpires,
		Policy: &policy, Portal: &portal,
		Issuer: issuer, JWKSURI: issuer + jwks.SetPath, Version: w.Version,
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
		UsageSince: optionalTime(w.Usage.Since), UsageUntil: optionalTime(w.Usage.Until), UsageReportedAt: optionalTime(w.Usage.At),
	}
}
