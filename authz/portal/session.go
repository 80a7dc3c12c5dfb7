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

// owned is a handler for the owner of keys alone, whom authz.Home has none of.
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

// posted is a handler of a form of ours.
func posted(h handler) handler { return sent(maxForm, (*http.Request).ParseForm, h) }

// uploaded is one of a form of so many bytes that may have a file in it. All of it is kept
// in memory.
func uploaded(most int64, h handler) handler {
	return sent(most, func(r *http.Request) error {
		if err := r.ParseForm(); err != nil {
			return err
		}
		if err := r.ParseMultipartForm(most); !errors.Is(err, http.ErrNotMultipart) {
			return err
		}
		return nil
	}, h)
}

func sent(most int64, parse func(*http.Request) error, h handler) handler {
	return func(v *visit) error {
		if !v.fromUs() {
			return errForeign
		}
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, most)
		if err := parse(v.r); err != nil {
			return formError(err)
		}
		if !equal(v.r.PostForm.Get("csrf"), v.csrf()) {
			return errForeign
		}
		return h(v)
	}
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func formError(err error) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return err
	}
	return errForm
}

// fromUs reports whether a form was posted by a page of ours: by what browsers say of
// it, which no page can alter (Fetch Standard section 3.1, Fetch Metadata section 2.1).
func (v *visit) fromUs() bool {
	origin, given := v.r.Header["Origin"]
	site := v.r.Header.Get("Sec-Fetch-Site")
	if given {
		return len(origin) == 1 && origin[0] == v.origin && (site == "" || site == "same-origin")
	}
	return site == "same-origin"
}

// csrf is what a form of this session carries. It tells nothing of the session's secret,
// and no other site can know it.
func (v *visit) csrf() string {
	if v.secret == "" {
		return ""
	}
	return v.derive("csrf")
}

// derive makes a value out of the session's secret that is of no use as one.
func (v *visit) derive(purpose string) string { return deriveFrom(v.secret, purpose) }

func deriveFrom(secret authz.Secret, purpose string) string {
	sum := sha256.Sum256([]byte(purpose + secret.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
