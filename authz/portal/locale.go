package portal

import (
	"embed"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/burnkey/burnkey/authz/portal/language"
)

//go:embed catalogue
var catalogueFiles embed.FS

// languageCookie stores the chosen language. It contains no secret, and the name can't collide with that
// of a workspace's cookie: see sessionPrefix.
const languageCookie = "__Host-burnkey_lang"

// readLanguages reads the message catalogues, once for all portals.
var readLanguages = sync.OnceValues(func() (*language.Languages, error) {
	files, _ := fs.Sub(catalogueFiles, "catalogue") // the path is valid
	return language.Read(files, "en", "de")
})

// languageOf returns the language for a request: the one in the query, or else in the cookie, or else in
// Accept-Language.
func (p *portal) languageOf(r *http.Request) *language.Language {
	if one := p.languages.Named(r.URL.Query().Get("lang")); one != nil {
		return one
	}
	if c, err := r.Cookie(languageCookie); err == nil {
		if one := p.languages.Named(c.Value); one != nil {
			return one
		}
	}
	return p.languages.Match(r.Header.Get("Accept-Language"))
}

// remember stores the language that the query chose in a cookie.
func (v *visit) remember() {
	if v.languages.Named(v.r.URL.Query().Get("lang")) == nil {
		return
	}
	c := sessionCookie(languageCookie, v.language.Code, v.session.Embedded)
	c.MaxAge = int((365 * 24 * time.Hour).Seconds())
	http.SetCookie(v.w, c)
}
