package portal

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// operatorRoutes registers the paths for the producer's own staff. Only the page of a key that an operator has just
// created shows a token.
func (p *portal) operatorRoutes() {
	const root = authz.PortalPath + "/{ws}/operator"
	get := func(path string, h handler) { p.mux.HandleFunc("GET "+root+path, p.serve(h)) }
	post := func(path string, h handler) { p.mux.HandleFunc("POST "+root+path, p.serve(h)) }

	get("", staffed(toStart))
	get("/{$}", staffed(toStart))
	get("/find", staffed(toStart))
	post("/find", staffed(posted(maxForm, find)))
	get("/audit", staffed(showAudit))
	get("/audit.csv", staffed(exportCSV))
	get("/audit.json", staffed(exportJSON))
	get("/workspaces", overAll(listWorkspaces))
	get("/overview", operated(showOverview))
	get("/owner", operated(showOwner))
	get("/keys", operated(listAllKeys))
	get("/keys/new", operated(newKey))
	post("/keys", operated(posted(maxForm, createKey)))
	get("/keys/{id}/live", operated(isLive))
	get("/keys/{id}", operated(showKey))
	get("/keys/{id}/{action}", operated(toKey))
	for action, h := range map[string]handler{
		"pause": pauseKey, "resume": resumeKey, "addresses": changeAddresses, "expiry": changeExpiry, "scopes": changeScopes,
		"plan": changePlan, "revoke": revokeKey,
	} {
		post("/keys/{id}/"+action, operated(posted(maxForm, h)))
	}
	get("/revoke", operated(selectKeys))
	post("/revoke", operated(posted(maxForm, changeKeys)))
	get("/requests", operated(listRequests))
	get("/requests/{id}", operated(toRequests))
	post("/requests/{id}", operated(posted(maxForm, decideRequest)))
	get("/plans", operated(listPlans))
	post("/plans", operated(posted(maxForm, createPlan)))
	get("/plans/{name}", operated(showPlan))
	post("/plans/{name}", operated(posted(maxForm, savePlan)))
	get("/plans/{name}/delete", operated(toPlan))
	post("/plans/{name}/delete", operated(posted(maxForm, deletePlan)))
	get("/settings", operated(showSettings))
	get("/settings/{form}", operated(toSettings))
	post("/settings/policy", operated(posted(maxSettings, savePolicy)))
	post("/settings/look", operated(posted(maxSettings, saveLook)))
}

// staffed wraps a handler for operators only. The session of a global operator takes precedence.
func staffed(h handler) handler {
	return func(v *visit) error {
		cookies := v.shownHere()
		slices.Reverse(cookies)
		if err := v.identify(cookies, isOperator); err != nil {
			return err
		}
		if !isOperator(&v.session) {
			return errStaff
		}
		v.rest()
		return h(v)
	}
}

func isOperator(s *store.Session) bool { return s.Role == store.RoleOperator }

// operated wraps an operators' handler for the keys of one workspace. The keys of authz.Home are the
// management keys, which have no pages.
func operated(h handler) handler {
	return staffed(func(v *visit) error {
		if v.workspace.ID == authz.Home {
			return errHome
		}
		return h(v)
	})
}

// overAll wraps an operators' handler for all workspaces. Its path is in authz.Home.
func overAll(h handler) handler {
	return func(v *visit) error {
		if v.workspace.ID != authz.Home {
			return errNowhere
		}
		return staffed(h)(v)
	}
}

// Operator reports whether an operator is logged in.
func (p *view) Operator() bool { return isOperator(&p.visit.session) }

// OverAll reports whether a global operator is logged in.
func (p *view) OverAll() bool { return authz.OperatesAll(&p.visit.session) }

// AtHome reports whether the page is about all workspaces.
func (p *view) AtHome() bool { return p.visit.workspace.ID == authz.Home }

// Workspaces returns the path of the list of all workspaces.
func (p *view) Workspaces() string { return p.visit.within(authz.Home, "operator", "workspaces") }

// toSettings redirects from a form's address, for example after a reload, to the settings page.
func toSettings(v *visit) error { return v.redirect(v.path("operator", "settings")) }

// toStart leads to an operator's start page.
func toStart(v *visit) error { return v.redirect(v.home()) }

// find finds a key in the path's workspace or, in authz.Home, in all workspaces.
func find(v *visit) error {
	if v.workspace.ID == authz.Home {
		return findAnywhere(v)
	}
	return findKey(v)
}

// toHome redirects to the person's start page or, without a session, to that of owners.
func toHome(v *visit) error {
	if err := v.identify(v.shownHere(), anybody); err != nil && !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	return v.redirect(v.home())
}

func (v *visit) home() string {
	switch {
	case v.workspace.ID == authz.Home:
		return v.path("operator", "workspaces")
	case isOperator(&v.session):
		return v.path("operator", "overview")
	}
	return v.path("keys")
}

// Home returns the path of the person's start page.
func (p *view) Home() string { return p.visit.home() }

// typed returns the values of fields in a query or form. Errors: errToken if a value contains a token,
// which must not be in an address; errNowhere if the portal's own fields can't have the value.
func typed(from url.Values, names ...string) (texts []string, err error) {
	for _, name := range names {
		text := from.Get(name)
		if trimmed := strings.TrimSpace(text); trimmed != "" { // spaces alone must not select everything
			text = trimmed
		}
		if strings.Contains(text, jwks.TokenPrefix) {
			return nil, errToken
		}
		if !utf8.ValidString(text) || utf8.RuneCountInString(text) > authz.MaxText || strings.ContainsFunc(text, unicode.IsControl) {
			return nil, errNowhere
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// afterOf returns the id after which the list continues, or the zero id for the first page.
func (v *visit) afterOf() uuid.UUID {
	after, _ := store.ParseID(v.r.URL.Query().Get("after"))
	return after
}

// query returns a query of pairs of name and value, without the empty values.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return "?" + q.Encode()
}

// Query does the same for templates.
func (p *view) Query(pairs ...string) string { return query(pairs...) }
