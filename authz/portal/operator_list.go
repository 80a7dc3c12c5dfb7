package portal

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// allKeys is the content of the list of all owners' keys.
type allKeys struct {
	Keys                 []shownKey
	Query, Owner, Status string
	Statuses             []store.Status
	Next                 string // the query of the next page, or empty
	First                bool   // it is the first page
	Some                 bool   // of Keys can be revoked
}

// Filtered says whether some keys are left out.
func (l *allKeys) Filtered() bool { return l.Query != "" || l.Owner != "" || l.Status != "" }

// Live says whether gateways still let the key in.
func (k shownKey) Live() bool {
	return k.State == string(store.Active) || k.State == string(store.Deprecated)
}

// oneKey is what the parts about one key of a list see.
type oneKey struct {
	*view
	Key shownKey
}

// Of prepares a key to be shown in a list.
func (p *view) Of(k shownKey) oneKey { return oneKey{p, k} }

func listAllKeys(v *visit) error {
	v.remember()
	l, err := v.allKeys()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "all", "all.title", l)
}

// allKeys reads the page of the list that the query asks for.
func (v *visit) allKeys() (*allKeys, error) {
	texts, err := typed(v.r.URL.Query(), "q", "owner", "status")
	if err != nil {
		return nil, err
	}
	l := &allKeys{
		Query: sought(texts[0]), Owner: texts[1], Status: texts[2],
		Statuses: []store.Status{store.Active, store.Deprecated, store.Revoked, store.Expired},
	}
	if !slices.Contains(l.Statuses, store.Status(l.Status)) {
		l.Status = "" // somebody has tampered with the address
	}
	after := v.afterOf()
	l.First = after == uuid.Nil
	keys, next, err := v.service.Keys(v.context(), v.workspace.ID, store.Filter{
		Query: l.Query, Owner: l.Owner, Status: store.Status(l.Status), After: after, Limit: onPage,
	})
	if err != nil {
		return nil, err
	}
	if next != uuid.Nil {
		l.Next = query("q", l.Query, "owner", l.Owner, "status", l.Status, "after", next.String())
	}
	l.Keys = v.showAll(keys)
	l.Some = slices.ContainsFunc(l.Keys, shownKey.Live)
	return l, nil
}

// findKey leads from a token, an id or a kid to the key's page. The text is sent by a form,
// since browsers and logs keep addresses, and no page repeats a token.
func findKey(v *visit) error {
	pasted := v.r.PostForm.Get("pasted")
	k, err := v.pastedKey(v.workspace.ID, pasted)
	var input authz.InputError
	switch {
	case errors.As(err, &input):
		return v.notFound(http.StatusUnprocessableEntity, noToken(pasted))
	case errors.Is(err, authz.ErrNotFound):
		return v.notFound(http.StatusNotFound, "fault.pasted.none")
	case err != nil:
		return err
	}
	return v.redirect(v.path("operator", "keys", k.ID.String()) + v.done("found", k.ID.String()))
}

// pastedKey finds a workspace's key by the token, id or kid in a pasted text. Errors:
// authz.InputError, authz.ErrNotFound.
func (v *visit) pastedKey(workspace, text string) (store.Key, error) {
	k, err := v.service.KeyOfToken(v.r.Context(), workspace, jwks.Token(text))
	if input := authz.InputError(nil); errors.As(err, &input) && !beginsToken(text) {
		return v.service.KeyNamed(v.r.Context(), workspace, text)
	}
	return k, err
}

func (v *visit) notFound(status int, why string) error {
	l, err := v.allKeys()
	if err != nil {
		return err
	}
	return v.again(status, "all", "all.title", l, v.fault("pasted", why))
}

// noToken is the message of what is wrong where no token could be read.
func noToken(text string) string {
	if beginsToken(text) {
		return "fault.pasted.part"
	}
	return "fault.pasted"
}

// beginsToken reports whether a text may contain a token or the beginning of one, even wrapped
// over several lines.
func beginsToken(text string) bool {
	gone := func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			return -1
		}
		return r
	}
	return strings.Contains(strings.Map(gone, text), jwks.TokenPrefix)
}
