package portal

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const workspacesOnPage = 50

type workspacesPage struct {
	Workspaces []store.Workspace
	Query      string // as typed
	Pasted     string // the key to find, as typed; never a token
	pages
}

// PathOf returns the path of an operator's start page in a workspace.
func (p *view) PathOf(w store.Workspace) string { return p.visit.within(w.ID, "operator", "overview") }

func listWorkspaces(v *visit) error {
	v.remember()
	p, err := v.workspaces()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "workspaces", "workspaces.title", p)
}

// workspaces reads the page of workspaces that the URL's query selects. The server's own workspace is
// left out, since its keys have no pages.
func (v *visit) workspaces() (*workspacesPage, error) {
	texts, err := typed(v.r.URL.Query(), "q", "after")
	if err != nil {
		return nil, err
	}
	p := &workspacesPage{Query: texts[0], pages: pages{First: texts[1] == ""}}
	f := store.WorkspaceFilter{Query: p.Query, After: texts[1], Limit: workspacesOnPage}
	found, next, err := v.service.Workspaces(v.context(), f)
	if err != nil {
		return nil, err
	}
	p.Workspaces = slices.DeleteFunc(found, func(w store.Workspace) bool { return w.ID == authz.Home })
	if next != "" {
		p.Next = query("q", p.Query, "after", next)
	}
	return p, nil
}

// findAnywhere redirects from a token, an id or a kid to the key's page, in whichever workspace the key is.
func findAnywhere(v *visit) error {
	pasted := strings.TrimSpace(v.r.PostForm.Get("pasted"))
	k, err := v.keyAnywhere(pasted)
	isPart := beginsToken(pasted)
	if pasted, _ = authz.NameIn(pasted); isPart { // the rest can be a key, which no page repeats
		pasted = ""
	}
	var input authz.InputError
	switch {
	case errors.Is(err, errHome):
		return v.foundNowhere(http.StatusUnprocessableEntity, pasted, "fault.found.home")
	case errors.Is(err, authz.ErrNotFound):
		return v.foundNowhere(http.StatusNotFound, pasted, "fault.found.none")
	case errors.As(err, &input) && isPart:
		return v.foundNowhere(http.StatusUnprocessableEntity, "", "fault.pasted.part")
	case errors.As(err, &input):
		return v.foundNowhere(http.StatusUnprocessableEntity, pasted, "fault.found")
	case err != nil:
		return err
	}
	v.settleIn(store.Workspace{ID: k.Workspace})
	return v.finish(k, "found")
}

// keyAnywhere returns the key of a token, imported key, id or kid. Errors: authz.InputError, authz.ErrNotFound, errHome.
func (v *visit) keyAnywhere(pasted string) (k store.Key, err error) {
	in, noToken := authz.WorkspaceOfToken(jwks.Token(pasted))
	switch {
	case noToken != nil && beginsToken(pasted):
		return k, noToken
	case noToken != nil:
		anywhere := func(string) bool { return true }
		k, err = v.orImported(pasted, anywhere, func() (store.Key, error) { return v.service.FindKey(v.r.Context(), pasted, anywhere) })
	case in != authz.Home:
		k, err = v.service.KeyOfToken(v.r.Context(), in, jwks.Token(pasted))
	}
	if err == nil && (in == authz.Home || k.Workspace == authz.Home) {
		return store.Key{}, errHome
	}
	return k, err
}

func (v *visit) foundNowhere(status int, pasted, why string) error {
	p, err := v.workspaces()
	if err != nil {
		return err
	}
	if len(pasted) <= authz.MaxText { // the pasted text may be long
		p.Pasted = pasted
	}
	return v.render(status, "workspaces", "workspaces.title", p, v.fault("pasted", why)...)
}
