package portal

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const maxForm = 64 << 10 // bytes

// owned wraps a handler for owners only. authz.Home has no owners.
func owned(h handler) handler {
	return func(v *visit) error {
		if v.workspace.ID == authz.Home {
			return errNowhere
		}
		if err := v.identify(v.shownHere(), isOwner); err != nil {
			return err
		}
		if !isOwner(&v.session) {
			return errForbidden
		}
		v.rest()
		if err := v.keepPace(); err != nil {
			return err
		}
		return h(v)
	}
}

func isOwner(s *store.Session) bool { return s.Role == store.RoleOwner && s.Owner != "" }

// posted wraps a handler for forms sent from the portal's own pages, with a maximum size in bytes.
func posted(most int64, h handler) handler {
	return func(v *visit) error {
		if err := v.receive(most); err != nil {
			return err
		}
		if !equal(v.r.PostForm.Get("csrf"), v.csrf()) {
			return errForeign
		}
		return h(v)
	}
}

// receive parses a form that may contain a file. The file stays in memory. Errors: errForeign, errForm,
// *http.MaxBytesError.
func (v *visit) receive(most int64) error {
	if !v.fromUs() {
		return errForeign
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, most)
	err := v.r.ParseForm()
	if err == nil {
		err = v.r.ParseMultipartForm(most)
	}
	var long *http.MaxBytesError
	switch {
	case err == nil, errors.Is(err, http.ErrNotMultipart):
		return nil
	case errors.As(err, &long):
		return err
	}
	return errForm
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// fromUs reports whether a form comes from one of our own pages, by header fields that scripts can't set
// (Fetch Standard section 3.1, Fetch Metadata section 2.1).
func (v *visit) fromUs() bool {
	origin, given := v.r.Header["Origin"]
	site := v.r.Header.Get("Sec-Fetch-Site")
	if given {
		return len(origin) == 1 && origin[0] == v.origin && (site == "" || site == "same-origin")
	}
	return site == "same-origin"
}

// csrf returns the token that every form of this session contains. It does not reveal the session's
// secret, and other sites can't know it.
func (v *visit) csrf() string {
	if v.secret == "" {
		return ""
	}
	return v.derive("csrf")
}

// derive derives a value from the session's secret without revealing the secret.
func (v *visit) derive(purpose string) string { return deriveFrom(v.secret, purpose) }

func deriveFrom(secret authz.Secret, purpose string) string {
	sum := sha256.Sum256([]byte(purpose + secret.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
