package portal

import (
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// findKey redirects from a pasted token, id or kid to the key's page. The text is sent by POST, since
// browsers and logs record addresses. A token is not shown again on any page.
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
	return v.finish(k, "found")
}

// pastedKey finds a workspace's key by the token, imported key, id or kid in a pasted text. Errors: authz.InputError,
// authz.ErrNotFound.
func (v *visit) pastedKey(workspace, text string) (store.Key, error) {
	k, err := v.service.KeyOfToken(v.r.Context(), workspace, jwks.Token(text))
	if input := authz.InputError(nil); !errors.As(err, &input) || beginsToken(text) {
		return k, err
	}
	return v.orImported(text, func(in string) bool { return in == workspace }, func() (store.Key, error) {
		return v.service.KeyNamed(v.r.Context(), workspace, text)
	})
}

// orImported returns the key that find finds. Otherwise it looks in the text for an imported key, which can look like an id, of a
// workspace for which `may` returns true. If there is no such key either, it returns the error of find.
func (v *visit) orImported(text string, may func(workspace string) bool, find func() (store.Key, error)) (store.Key, error) {
	k, err := find()
	if input := authz.InputError(nil); !errors.As(err, &input) && !errors.Is(err, authz.ErrNotFound) {
		return k, err
	}
	imported, no := v.service.KeyOfImported(v.context(), jwks.Token(text), may)
	if errors.Is(no, authz.ErrNotFound) {
		return k, err
	}
	return imported, no
}

func (v *visit) notFound(status int, why string) error {
	t, err := v.allKeys()
	if err != nil {
		return err
	}
	return v.render(status, "all", "all.title", t, v.fault("pasted", why)...)
}

// noToken returns the key of the message for a text without a valid token.
func noToken(text string) string {
	if beginsToken(text) {
		return "fault.pasted.part"
	}
	return "fault.pasted"
}

// beginsToken reports whether a text may contain a token or the start of one, even if line breaks divide
// the token.
func beginsToken(text string) bool {
	gone := func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			return -1
		}
		return r
	}
	return strings.Contains(strings.Map(gone, text), jwks.TokenPrefix)
}
