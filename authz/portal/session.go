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

const (
	// cookieName has a prefix by which browsers see to it that nobody else can set it
	// (RFC 6265bis section 4.1.3.2).
	cookieName = "__Host-burnkey"
	// cookiesAtOnce is how many of our name are looked at: a browser may send that of
	// a frame and that of its own.
	cookiesAtOnce = 4
	maxForm       = 64 << 10 // bytes
)

// setCookie logs the browser in. In a frame of another site's page, only a cookie
// that belongs to the two together is kept.
func (v *visit) setCookie(secret authz.Secret, framed bool) {
	http.SetCookie(v.w, sessionCookie(secret.Reveal(), framed))
}

func sessionCookie(value string, framed bool) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: value, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
	if framed {
		c.SameSite, c.Partitioned = http.SameSiteNoneMode, true
	}
	return c
}

// opened is a session and the secret that opens it.
type opened struct {
	session store.Session
	secret  authz.Secret
}

// identify finds the session in the path's workspace, or else one that is over all
// workspaces. Errors: authz.ErrNoSession.
func (v *visit) identify() error {
	err := v.lookUp(func(s *store.Session) bool { return s.Workspace == v.workspace.ID })
	if errors.Is(err, authz.ErrNoSession) {
		return v.lookUp(authz.OperatesAll)
	}
	return err
}

// anySession finds one where the path names no workspace.
func (v *visit) anySession() error {
	if err := v.lookUp(func(*store.Session) bool { return true }); err != nil {
		return err
	}
	w, err := v.service.Workspace(v.r.Context(), v.session.Workspace)
	if err != nil {
		return err
	}
	v.settleIn(w)
	return nil
}

func (v *visit) lookUp(fits func(*store.Session) bool) error {
	if err := v.open(); err != nil {
		return err
	}
	for _, o := range v.opened {
		if fits(&o.session) {
			v.session, v.secret = o.session, o.secret
			return nil
		}
	}
	return authz.ErrNoSession
}

// open reads the sessions of the cookies, once.
func (v *visit) open() error {
	if v.opened != nil {
		return nil
	}
	cookies := v.r.CookiesNamed(cookieName)
	found := []opened{}
	for _, c := range cookies[:min(len(cookies), cookiesAtOnce)] {
		secret := authz.Secret(c.Value)
		session, err := v.service.Session(v.r.Context(), secret)
		switch {
		case err == nil:
			found = append(found, opened{session, secret})
		case !errors.Is(err, authz.ErrNoSession):
			return err
		}
	}
	v.opened = found
	return nil
}

// owned is a handler for the owner of keys alone, whom authz.Home has none of.
func owned(h handler) handler {
	return func(v *visit) error {
		if v.workspace.ID == authz.Home {
			return errNowhere
		}
		if err := v.identify(); err != nil {
			return err
		}
		if v.session.Role != store.RoleOwner || v.session.Owner == "" {
			return errForbidden
		}
		return h(v)
	}
}

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
		given := []byte(v.r.PostForm.Get("csrf"))
		if subtle.ConstantTimeCompare(given, []byte(v.csrf())) != 1 {
			return errForeign
		}
		return h(v)
	}
}

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
func (v *visit) derive(purpose string) string {
	sum := sha256.Sum256([]byte(purpose + v.secret.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// logOut ends the session. Without one, the cookie goes if a page of ours asks: to
// another site's form the browser adds no cookie, and would take it away all the same.
func logOut(v *visit) error {
	err := v.anySession()
	if err != nil && !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	if err == nil {
		err = posted(func(v *visit) error { return v.service.EndSession(v.context(), v.secret) })(v)
		if err != nil {
			return err
		}
	}
	if v.fromUs() {
		gone := sessionCookie("", v.session.Embedded)
		gone.MaxAge = -1
		http.SetCookie(v.w, gone)
	}
	bye := goodbye{Return: v.session.ReturnURL}
	if err == nil && v.session.Login {
		bye.Leave = v.logins.end(v.r.Context(), &v.workspace)
	}
	v.leave(bye.Leave)
	v.session, v.secret = store.Session{}, ""
	return v.render(http.StatusOK, "out", "out.title", bye)
}
