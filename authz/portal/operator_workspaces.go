package portal

import (
	"errors"
	"net/http"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// workspacesOnPage are as many as read like a list.
const workspacesOnPage = 50

// workspacesPage is the content of the list of all workspaces.
type workspacesPage struct {
	Workspaces []store.Workspace
	Query      string // as typed
	Next       string // the query of the next page, or empty
	First      bool   // it is the first page
	// Pasted and In are what somebody looked for, and where. Pasted is never a token.
	Pasted, In string
}

// PathOf is where a workspace's keys are.
func (p *view) PathOf(w store.Workspace) string { return p.visit.within(w.ID, "operator", "keys") }

func listWorkspaces(v *visit) error {
	v.remember()
	p, err := v.workspaces()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "workspaces", "workspaces.title", p)
}

// workspaces reads the page of the list that the query asks for. The server's own
// workspace is none of those whose keys may be seen here.
func (v *visit) workspaces() (*workspacesPage, error) {
	texts, err := typed(v.r.URL.Query(), "q", "after")
	if err != nil {
		return nil, err
	}
	p := &workspacesPage{Query: texts[0], First: texts[1] == ""}
	found, next, err := v.service.Workspaces(v.context(), store.WorkspaceFilter{Query: p.Query, After: texts[1], Limit: workspacesOnPage})
	if err != nil {
		return nil, err
	}
	for _, w := range found {
		if w.ID != authz.Home {
			p.Workspaces = append(p.Workspaces, w)
		}
	}
	if next != "" {
		p.Next = query("q", p.Query, "after", next)
	}
	return p, nil
}

// findAnywhere leads to a key from its token, which names its workspace, or from its id or
// kid. In which workspace those are nothing says but who asks: to look in each would take
// the longer the more there are.
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
	return v.redirect(v.path("operator", "keys", k.ID.String()) + v.done("found", k.ID.String()))
}

// lookIn finds a key in a workspace by its token or, without one, by its id or kid.
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
	if len(pasted) <= authz.MaxText { // not all that somebody may have pasted
		p.Pasted = pasted
	}
	p.In = in
	return v.again(status, "workspaces", "workspaces.title", p, bad)
}
