package portal

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/burnkey/burnkey/authz"
)

// door shows the page for people who don't know their workspace. It names no workspace.
func door(v *visit) error {
	if err := v.anySession(anybody); err != nil && !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	v.remember()
	return v.render(http.StatusOK, "door", "door.title", nil)
}

// tidy returns an address without empty segments and dots, and whether it was already tidy. Package http
// would redirect, too, but without our header fields.
func tidy(u *url.URL) (string, bool) {
	is := u.EscapedPath()
	should := path.Clean(is)
	if strings.HasSuffix(is, "/") {
		should += "/"
	}
	if u.RawQuery != "" {
		return should + "?" + u.RawQuery, should == is
	}
	return should, should == is
}

// toTidy redirects to the tidy form of an address in the portal.
func toTidy(v *visit) error {
	to, _ := tidy(v.r.URL)
	below, ok := strings.CutPrefix(to, authz.PortalPath+"/")
	if !ok || v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		return errNowhere
	}
	return v.redirect(v.base + "/" + below)
}
