package portal

import (
	"errors"
	"net/http"
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

// operatorRoutes are those of the producer's own staff. There is none that makes a key
// or shows a token.
func (p *portal) operatorRoutes() {
	const root = authz.PortalPath + "/{ws}/operator"
	get := func(path string, h handler) { p.mux.HandleFunc("GET "+root+path, p.serve(h)) }
	post := func(path string, h handler) { p.mux.HandleFunc("POST "+root+path, p.serve(h)) }

	get("", staffed(toStart))
	get("/{$}", staffed(toStart))
	get("/find", staffed(toStart))
	post("/find", staffed(posted(find)))
	get("/audit", staffed(showAudit))
	get("/audit.csv", staffed(exportCSV))
	get("/audit.json", staffed(exportJSON))
	get("/workspaces", overAll(listWorkspaces))
	get("/keys", operated(listAllKeys))
	get("/keys/{id}", operated(showAnyKey))
	get("/keys/{id}/revoke", operated(toAnyKey))
	post("/keys/{id}/revoke", operated(posted(revokeAnyKey)))
	get("/revoke", operated(selectKeys))
	post("/revoke", operated(posted(revokeKeys)))
	get("/settings", operated(showSettings))
	get("/settings/{form}", operated(toSettings))
	post("/settings/policy", operated(uploaded(maxSettings, savePolicy)))
	post("/settings/look", operated(uploaded(maxSettings, saveLook)))
}

// staffed wraps a handler for operators only: global ones first, then those of the path's
// workspace.
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

// operated is one about a workspace's keys. Those of authz.Home are the management keys,
// which nobody has come by who is here.
func operated(h handler) handler {
	return staffed(func(v *visit) error {
		if v.workspace.ID == authz.Home {
			return errHome
		}
		return h(v)
	})
}

// overAll is one about all workspaces. Its pages are authz.Home's.
func overAll(h handler) handler {
	return func(v *visit) error {
		if v.workspace.ID != authz.Home {
			return errNowhere
		}
		return staffed(h)(v)
	}
}

// Operator says whether the session is one.
func (p *view) Operator() bool { return p.visit.session.Role == store.RoleOperator }

// OverAll says whether the session is over all workspaces.
func (p *view) OverAll() bool { return authz.OperatesAll(&p.visit.session) }

// AtHome says whether the page is about all workspaces, rather than one.
func (p *view) AtHome() bool { return p.visit.workspace.ID == authz.Home }

// Workspaces is the path of the list of all.
func (p *view) Workspaces() string { return p.visit.within(authz.Home, "operator", "workspaces") }

// toSettings is for who comes back to where a form was posted.
func toSettings(v *visit) error { return v.redirect(v.path("operator", "settings")) }

// toStart leads to where an operator begins.
func toStart(v *visit) error { return v.redirect(v.home()) }

// find finds a key in the workspace or, at home, in all.
func find(v *visit) error {
	if v.workspace.ID == authz.Home {
		return findAnywhere(v)
	}
	return findKey(v)
}

func toAnyKey(v *visit) error { return v.redirect(v.path("operator", "keys", v.r.PathValue("id"))) }

// toHome leads to where somebody begins, whoever they are.
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
	case v.session.Role == store.RoleOperator:
		return v.path("operator", "keys")
	}
	return v.path("keys")
}

// Home is where whoever is logged in begins.
func (p *view) Home() string { return p.visit.home() }

// anyKey returns a key of the workspace, whoever's it is. It is for operators alone.
func (v *visit) anyKey(text string) (store.Key, error) {
	id, ok := store.ParseID(text)
	if !ok {
		return store.Key{}, errNowhere
	}
	k, err := v.service.Key(v.r.Context(), v.workspace.ID, id)
	if errors.Is(err, authz.ErrNotFound) {
		return store.Key{}, errNowhere
	}
	return k, err
}

// typed returns what somebody typed into fields. What no field of ours can hold is an
// address that somebody has tampered with; a token is one that must not be in any.
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

// afterOf is where a list goes on, and the zero id where it begins.
func (v *visit) afterOf() uuid.UUID {
	after, _ := store.ParseID(v.r.URL.Query().Get("after"))
	return after
}

// query is one of the fields that are not empty, in pairs of name and value.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return "?" + q.Encode()
}

// Query is such a one, for templates.
func (p *view) Query(pairs ...string) string { return query(pairs...) }

// again answers a form with a page that says what is wrong with it.
func (v *visit) again(status int, page, title string, content any, bad faults) error {
	return v.renderView(status, &view{Page: page, Title: v.language.Text(title), Content: content, Faults: bad})
}

// statusOf is 422 where something is wrong.
func statusOf(bad faults) int {
	if len(bad) > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}
