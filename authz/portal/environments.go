package portal

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// environment is a workspace to which the person can switch.
type environment struct {
	Name, Path string
	Current    bool
}

// Environments returns the environments that the person can open, if there are several: with sessions of theirs that
// links opened, by the workspaces' own login, or as an operator of all workspaces. If they can't be read, it returns
// none: the page may show a token that is shown once.
func (p *view) Environments() []environment {
	v := p.visit
	if v.secret == "" || v.workspace.ID == "" || v.workspace.ID == authz.Home {
		return nil
	}
	others, err := v.openEnvironments()
	if err != nil || len(others) == 0 {
		return nil
	}
	list := append(others, v.workspace)
	slices.SortFunc(list, func(a, b store.Workspace) int {
		return cmp.Or(strings.Compare(a.EnvironmentOf, b.EnvironmentOf), strings.Compare(a.Environment, b.Environment))
	})
	environments := make([]environment, len(list))
	for i, w := range list {
		environments[i] = environment{w.EnvironmentName(), v.switchTo(w.ID), w.ID == v.workspace.ID}
	}
	return environments
}

// switchTo returns the path of the start page in an environment, or of the login that leads to it.
func (v *visit) switchTo(workspace string) string {
	switch {
	case authz.OperatesAll(&v.session):
		return v.within(workspace, "operator", "overview")
	case v.session.Login && workspace != v.workspace.ID:
		return v.within(workspace, "login")
	case isOperator(&v.session):
		return v.within(workspace, "operator", "overview")
	}
	return v.within(workspace, "keys")
}

// openEnvironments returns the other workspaces of the family that the person can open.
func (v *visit) openEnvironments() (others []store.Workspace, err error) {
	if !authz.OperatesAll(&v.session) && !v.session.Login {
		return v.linkedEnvironments()
	}
	family, err := v.service.Family(v.r.Context(), &v.workspace)
	for _, w := range family {
		if err != nil || w.ID == v.workspace.ID {
			continue
		}
		if v.session.Login && !authz.OperatesAll(&v.session) {
			if w, err = v.workspaceSeen(v.r.Context(), w.ID); w.Portal.OIDC == nil {
				continue
			}
		}
		others = append(others, w)
	}
	return others, err
}

// linkedEnvironments returns the workspaces of the family in which the browser has a session of the same person.
func (v *visit) linkedEnvironments() (others []store.Workspace, err error) {
	for _, c := range v.shownAll() {
		session, err := v.open(c)
		if errors.Is(err, authz.ErrNoSession) || err == nil && !v.isSamePerson(&session) {
			continue
		}
		if err != nil {
			return nil, err
		}
		w, err := v.workspaceSeen(v.r.Context(), session.Workspace)
		if err != nil {
			return nil, err
		}
		if authz.SameFamily(&w, &v.workspace) {
			others = append(others, w)
		}
	}
	return others, nil
}

// isSamePerson reports whether a session in another workspace belongs to the person of this visit.
func (v *visit) isSamePerson(s *store.Session) bool {
	return s.Workspace != v.workspace.ID && s.Role == v.session.Role && s.Owner == v.session.Owner && s.Subject == v.session.Subject
}
