package portal

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/burnkey/burnkey/authz"
)

// linkLen is the length of a link's secret.
const linkLen = 43

// openLink turns a link into a session. What only looks at links, as mail filters and
// messengers do by HEAD and browsers ahead of a click, must not use it up.
func openLink(v *visit) error {
	switch {
	case v.r.Method == http.MethodHead:
		return nil
	case v.r.Method != http.MethodGet:
		return errNowhere
	case v.r.Header.Get("Sec-Purpose") != "" || v.r.Header.Get("Purpose") == "prefetch":
		v.w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	case !visited(v.r.Header):
		return errNowhere
	}
	framed := v.r.Header.Get("Sec-Fetch-Dest") == "iframe"
	if framed {
		if err := v.mayBeFramed(); err != nil {
			return err
		}
	}
	secret, session, err := v.service.StartSession(v.context(), authz.Secret(v.r.PathValue("secret")), framed)
	if errors.Is(err, authz.ErrNoSession) {
		return v.usedLink()
	}
	if err != nil {
		return err
	}
	w, err := v.service.Workspace(v.r.Context(), session.Workspace)
	if err != nil {
		return err
	}
	v.settleIn(w)
	v.setCookie(secret, session.Embedded && len(w.Portal.FrameAncestors) > 0)
	v.session = session
	return v.redirect(v.home())
}

// mayBeFramed leaves a link good that is opened in a frame of whichever page, where none is
// to have one: the browser would not show what it leads to.
func (v *visit) mayBeFramed() error {
	link, err := v.service.Link(v.r.Context(), authz.Secret(v.r.PathValue("secret")))
	if errors.Is(err, authz.ErrNoSession) {
		return v.usedLink()
	}
	if err != nil {
		return err
	}
	w, err := v.service.Workspace(v.r.Context(), link.Workspace)
	if err != nil || len(w.Portal.FrameAncestors) > 0 {
		return err
	}
	v.log.LogAttrs(v.r.Context(), slog.LevelWarn, "a link was opened in a frame and left unused: the workspace lists no frame_ancestors",
		slog.String("request_id", v.requestID()), slog.String("workspace", w.ID))
	return errFramed
}

// visited reports whether somebody goes to a page, rather than one page loading
// another's picture. Browsers that don't say are believed.
func visited(h http.Header) bool {
	mode := h.Get("Sec-Fetch-Mode")
	return mode == "" || mode == "navigate"
}

// usedLink answers a link that is good no more, and shows who is still logged in the
// way: they may just have gone back.
func (v *visit) usedLink() error {
	if err := v.anySession(); err != nil && !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	return errLink
}
