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
	Pasted, In string // the key to find, never a token, and its workspace; as typed
	pages
}

// PathOf returns the path of the list of a workspace's keys.
func (p *view) PathOf(w store.Workspace) string { return p.visit.within(w.ID, "operator", "keys") }

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

// findAnywhere redirects from a token, an id or a kid to the key's page. A token names its workspace; for
// an id or kid, the person has to name it, since a search of all workspaces would take too long.
func findAnywhere(v *visit) error {
	pasted := strings.TrimSpace(v.r.PostForm.Get("pasted"))
	texts, err := typed(v.r.PostForm, "workspace")
	if err != nil {
		return err
	}
	in := texts[0]
	if from, err := authz.WorkspaceOfToken(jwks.Token(pasted)); err == nil {
		in = from
	} else if beginsToken(pasted) {
		return v.foundNowhere(http.StatusUnprocessableEntity, "", texts[0], v.fault("pasted", noToken(pasted)))
	}
	k, bad, err := v.lookIn(in, pasted)
	if _, noToken := jwks.ReadPasted(pasted); noToken == nil {
		pasted = "" // no page repeats a token
	}
	switch {
	case errors.Is(err, authz.ErrNotFound):
		return v.foundNowhere(http.StatusNotFound, pasted, texts[0], v.fault("pasted", "fault.found.none", "workspace", in))
	case err != nil:
		return err
	case len(bad) > 0:
		return v.foundNowhere(http.StatusUnprocessableEntity, pasted, texts[0], bad)
	}
	v.settleIn(store.Workspace{ID: k.Workspace})
	return v.finish(k, "found")
}

// lookIn finds a key in a workspace by a token, an id or a kid.
func (v *visit) lookIn(workspace, pasted string) (k store.Key, bad faults, err error) {
	switch {
	case workspace == "":
		return k, v.fault("workspace", "fault.found.where"), nil
	case workspace == authz.Home:
		return k, v.fault("pasted", "fault.found.home"), nil
	case authz.CheckWorkspaceID("workspace", workspace) != nil:
		return k, v.fault("workspace", "fault.found.workspace"), nil
	}
	k, err = v.pastedKey(workspace, pasted)
	if input := authz.InputError(nil); errors.As(err, &input) {
		return k, v.fault("pasted", "fault.found"), nil
	}
	return k, nil, err
}

func (v *visit) foundNowhere(status int, pasted, in string, bad faults) error {
	p, err := v.workspaces()
	if err != nil {
		return err
	}
	if len(pasted) <= authz.MaxText { // the pasted text may be long
		p.Pasted = pasted
	}
	p.In = in
	return v.render(status, "workspaces", "workspaces.title", p, bad...)
}
