package authz

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Home is the workspace of the server itself. Its keys are the management keys.
const Home = store.Home

// WorkspaceRequest requests a new workspace.
type WorkspaceRequest struct {
	ID   string
	Name string // empty: the id
	// Audiences of the workspace's keys. If empty, the only audience is the workspace's id.
	Audiences         []string
	AllowNeverExpires bool
	TokenPrefix       string // empty: none
	// Environment is the name of the environment that the workspace is. Empty: store.DefaultEnvironment.
	Environment string
	// EnvironmentOf is the workspace that it is an environment of, and inherits all from. Empty: none.
	EnvironmentOf string
}

// CreateWorkspace makes a workspace and publishes its tombstone. Errors:
// InputError, ErrExists, ErrBusy, *BudgetError. An environment cannot be tied to a workspace that is missing, is itself
// an environment or has store.MaxEnvironments: InputError.
func (s *Service) CreateWorkspace(ctx context.Context, r WorkspaceRequest) (store.Workspace, error) {
	defer spans.Start(&ctx, "authz.create_workspace", nil)()
	var bad InputError
	bad.workspaceID("id", r.ID)
	bad.name("name", r.Name, 0)
	bad.audiences("audiences", r.Audiences)
	settings := jwks.Settings{TokenPrefix: r.TokenPrefix}
	bad.settings(r.ID, jwks.Settings{}, settings)
	bad.environment(r)
	if err := bad.err(); err != nil {
		return store.Workspace{}, err
	}
	if r.Name == "" {
		r.Name = r.ID
	}
	if len(r.Audiences) == 0 {
		r.Audiences = []string{r.ID}
	}
	leave, err := s.conflicts.alone(ctx, conflictKey{Home, "create", r.ID})
	if err != nil {
		return store.Workspace{}, err
	}
	defer leave()
	// The store checks the id again; this check comes before minting, which is expensive.
	switch _, err := s.store.Workspace(ctx, r.ID); {
	case err == nil:
		return store.Workspace{}, ErrExists
	case !errors.Is(err, ErrNotFound):
		return store.Workspace{}, err
	}
	if err := s.mayTie(ctx, r); err != nil {
		return store.Workspace{}, err
	}
	if err := s.spend(ctx, workspaceCost); err != nil {
		return store.Workspace{}, err
	}
	caller := askedBy(ctx)
	// All creations take turns as one tenant. Otherwise, each new workspace would count as another tenant.
	minted, err := s.minter.Mint(ctx, mint.Asker{Workspace: Home, Owner: caller, Caller: caller}, nil)
	if err != nil {
		return store.Workspace{}, err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	fresh := store.Workspace{
		ID: r.ID, Name: r.Name, Audiences: r.Audiences, AllowNeverExpires: r.AllowNeverExpires, Settings: settings,
		Environment: r.Environment, EnvironmentOf: r.EnvironmentOf, CreatedAt: s.Now(),
	}
	if r.EnvironmentOf != "" {
		fresh.Inherits = slices.Clone(parts)
	}
	w, err := s.store.CreateWorkspace(ctx, fresh, minted.Key)
	if err != nil {
		return store.Workspace{}, refusedEnvironment(err)
	}
	// Apply can fail to publish the new workspace here, but the workspace exists all the same.
	s.publisher.Apply(ctx, w.ID, jwks.Change{Version: 1, Add: []jwks.Key{minted.Key}})
	if w.Version > 1 {
		_ = s.publisher.Reach(ctx, w.ID, w.Version) // as above
	}
	return w, nil
}

// Workspace returns a workspace. Errors: ErrNotFound.
func (s *Service) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	return s.store.Workspace(ctx, id)
}

// Logo returns a workspace's logo, a PNG. Errors: ErrNotFound, also if the workspace has no logo.
func (s *Service) Logo(ctx context.Context, workspace string) ([]byte, error) {
	return s.store.Logo(ctx, workspace)
}

// Workspaces lists workspaces by id, without Policy and Portal, in pages like those of Keys.
// Errors: *CrowdedError, and ErrTooSlow for a search that has found nothing.
func (s *Service) Workspaces(ctx context.Context, f store.WorkspaceFilter) ([]store.Workspace, string, error) {
	f.Rows = rowsATurn
	p, err := pageOf(ctx, s.reads, "", f.After, f.Limit, f.Query != "",
		func(w *store.Workspace) int { return 512 + len(w.Name) + sizeOfTexts(w.Audiences) },
		func(ctx context.Context, after string, limit, bytes int) ([]store.Workspace, string, error) {
			f := f
			f.After, f.Limit, f.Bytes = after, limit, bytes
			return s.store.Workspaces(ctx, f)
		})
	return p.items, p.next, err
}

// Updates returns how many times this server may have changed a workspace. Callers compare it to notice that a
// workspace they read may be out of date.
func (s *Service) Updates() uint64 { return s.updates.Load() }

// UpdateWorkspace applies change to a workspace within a transaction and checks the result. If nothing differs,
// UpdatedAt stays the same and no audit entry is added. A part that an environment inherits becomes its own if change
// alters it, and is inherited again if change adds it to Inherits. Issued keys are not changed. The function change must
// not call the Service, and can be called more than once. When it returns nil, this server has published the settings
// for gateways. Errors: InputError, *BudgetError, ErrNotFound, and those of change.
func (s *Service) UpdateWorkspace(ctx context.Context, id string, change func(*store.Workspace) error) (store.Workspace, error) {
	defer spans.Start(&ctx, "authz.update_workspace", nil)()
	if err := s.spend(ctx, workspaceCost); err != nil {
		return store.Workspace{}, err
	}
	ctx, cancel := settle(ctx)
	defer cancel()
	defer s.updates.Add(1) // even after an error, since the change may be stored
	var old store.Workspace
	kept, err := s.store.UpdateWorkspace(ctx, id, func(w *store.Workspace) error {
		old = *w
		old.Audiences, old.Policy, old.Portal = slices.Clone(w.Audiences), w.Policy.Clone(), w.Portal.Clone()
		old.Inherits = slices.Clone(w.Inherits)
		if err := change(w); err != nil {
			return err
		}
		w.Portal.Accent = strings.ToLower(w.Portal.Accent)
		w.Settings.BareUntil = w.Settings.BareUntil.UTC().Truncate(time.Second)
		if w.Policy.Expiry == store.ExpiryByClaim {
			w.Policy.Expiry = ""
		}
		if w.Policy.TokenType == string(jwks.TypeJWT) {
			w.Policy.TokenType = ""
		}
		if unchanged(&old, w) {
			return errUnchanged
		}
		// All fields are checked, since the rules of each depend on others.
		var bad InputError
		bad.settleEnvironment(&old, w)
		bad.text("name", w.Name, 1)
		bad.audiences("audiences", w.Audiences)
		if len(w.Audiences) == 0 {
			bad.Add("audiences", RuleEmpty)
		}
		bad.newNames(&old, w)
		bad.settings(w.ID, old.Settings, w.Settings)
		bad.policy(w, s.isLocal())
		bad.portal(w, s.isLocal())
		if err := bad.err(); err != nil {
			return err
		}
		w.UpdatedAt = s.Now()
		return nil
	})
	if errors.Is(err, errUnchanged) {
		kept, err = old, nil
	}
	if kept.Policy.Exchange != old.Policy.Exchange {
		s.shifts.rouse()
	}
	if err != nil || kept.Settings.IsDefault() && old.Settings.IsDefault() {
		return kept, refusedEnvironment(err)
	}
	return kept, s.publisher.Reach(ctx, kept.ID, kept.Version)
}

// errUnchanged ends a change without a difference.
var errUnchanged = errors.New("nothing is to be changed")

// unchanged reports whether w has the same changeable fields as old.
func unchanged(old, w *store.Workspace) bool {
	portal, _, newLogo := w.Portal.Stored(old.Portal)
	return !newLogo && w.Name == old.Name && slices.Equal(w.Audiences, old.Audiences) && w.AllowNeverExpires == old.AllowNeverExpires &&
		w.Settings.Equal(&old.Settings) &&
		w.Environment == old.Environment && slices.Equal(w.Inherits, old.Inherits) &&
		reflect.DeepEqual(w.Policy.Clone(), old.Policy) && reflect.DeepEqual(portal, old.Portal)
}

// newNames refuses invisible characters in texts for customers, except in texts that were stored before. Other
// limits are checked by policy and portal.
func (e *InputError) newNames(old, w *store.Workspace) {
	if w.Name != old.Name {
		e.seen("name", w.Name)
	}
	if w.Portal.DisplayName != old.Portal.DisplayName {
		e.seen("portal.display_name", w.Portal.DisplayName)
	}
	for _, scope := range w.Policy.Scopes {
		if !slices.Contains(old.Policy.Scopes, scope) {
			e.seen("policy.scopes", scope.Description)
		}
	}
}
