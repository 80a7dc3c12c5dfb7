package portal

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/burnkey/burnkey/authz"
)

// door is where somebody stands who knows of no workspace. It names none.
func door(v *visit) error {
	if err := v.anySession(anybody); err != nil && !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	v.remember()
	return v.render(http.StatusOK, "door", "door.title", nil)
}

// tidy is an address without empty parts and dots. Package http would redirect to it, too,
// but without our header fields.
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

// toTidy leads to the tidy address of what was asked for, if that is below ours.
func toTidy(v *visit) error {
	to, _ := tidy(v.r.URL)
	below, ok := strings.CutPrefix(to, authz.PortalPath+"/")
	if !ok || v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		return errNowhere
	}
	return v.redirect(v.base + "/" + below)
}
