package portal

import (
	"errors"
	"net/http"
	"net/url"
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
	get := func(path string, h handler) { p.mux.HandleFunc("GET "+root+path, p.serve(operated(h))) }
	post := func(path string, h handler) { p.mux.HandleFunc("POST "+root+path, p.serve(operated(posted(h)))) }

	get("", toAllKeys)
	get("/{$}", toAllKeys)
	get("/keys", listAllKeys)
	get("/find", toAllKeys)
	post("/find", findKey)
	get("/keys/{id}", showAnyKey)
	get("/keys/{id}/revoke", toAnyKey)
	post("/keys/{id}/revoke", revokeAnyKey)
	get("/revoke", selectKeys)
	post("/revoke", revokeKeys)
	get("/audit", showAudit)
	get("/audit.csv", exportCSV)
	get("/audit.json", exportJSON)
	get("/settings", showSettings)
}

// operated is a handler for an operator alone.
func operated(h handler) handler {
	return func(v *visit) error {
		if err := v.identify(); err != nil {
			return err
		}
		if v.session.Role != store.RoleOperator {
			return errStaff
		}
		return h(v)
	}
}

// Operator says whether the session is one.
func (p *view) Operator() bool { return p.visit.session.Role == store.RoleOperator }

func toAllKeys(v *visit) error { return v.redirect(v.path("operator", "keys")) }

func toAnyKey(v *visit) error { return v.redirect(v.path("operator", "keys", v.r.PathValue("id"))) }

// toHome leads to where somebody begins, whoever they are.
func toHome(v *visit) error {
	if err := v.identify(); err != nil && !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	return v.redirect(v.home())
}

func (v *visit) home() string {
	if v.session.Role == store.RoleOperator {
		return v.path("operator", "keys")
	}
	return v.path("keys")
}

// Home is where whoever is logged in begins.
func (p *view) Home() string { return p.visit.home() }

// anyKey returns a key of the workspace, whoever's it is. It is for operators alone.
func (v *visit) anyKey(text string) (store.Key, error) {
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text { // one spelling
		return store.Key{}, errNowhere
	}
	k, err := v.service.Key(v.r.Context(), v.workspace.ID, id)
	if errors.Is(err, authz.ErrNotFound) || err == nil && k.Workspace != v.session.Workspace {
		return store.Key{}, errNowhere
	}
	return k, err
}

// typed returns what somebody typed into fields. What no field of ours can hold is an
// address that somebody has tampered with; a token is one that must not be in any.
func typed(from url.Values, names ...string) (texts []string, err error) {
	for _, name := range names {
		text := strings.TrimSpace(from.Get(name))
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
	after, err := uuid.Parse(v.r.URL.Query().Get("after"))
	if err != nil {
		return uuid.Nil
	}
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
	return v.renderView(status, &view{Page: page, Title: v.language.text(title), Content: content, Faults: bad})
}

func (v *visit) fault(field, key string, pairs ...any) faults {
	return faults{{field, v.language.text(key, pairs...)}}
}

// statusOf is 422 where something is wrong.
func statusOf(bad faults) int {
	if len(bad) > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}
