package portal

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// linkLen is the length of a link's secret.
const linkLen = 43

// openLink turns a link into a session if a person navigates to it. Other readers, such as previews and
// mail filters, get a page with a button. With the parameter ask, every reader gets the button: some
// automated browsers can't be distinguished from a person.
func openLink(v *visit) error {
	var err error
	switch {
	case v.r.Method == http.MethodHead:
	case v.r.Method == http.MethodPost && !v.fromUs():
		return errForeign
	case v.r.Method == http.MethodPost, v.r.Method == http.MethodGet && goes(v.r.Header) && !v.asks():
		err = v.useLink()
	case v.r.Method == http.MethodGet:
		err = v.askToUse()
	default:
		return errNowhere
	}
	if errors.Is(err, authz.ErrNoSession) {
		return v.usedLink()
	}
	return err
}

// asks reports whether to show the button: because of the parameter ask, or because a language was chosen
// on its page.
func (v *visit) asks() bool {
	query := v.r.URL.Query()
	return query.Has("ask") || query.Has("lang")
}

// windows are the values of Sec-Fetch-Dest for a page that is shown to a person, in a window or a frame.
var windows = []string{"document", "iframe", "frame"}

// goes reports whether the browser navigates to a page to show it, and does not prefetch it (Fetch
// Metadata sections 2.1 and 2.2). Without these header fields it returns false.
func goes(h http.Header) bool {
	return h.Get("Sec-Fetch-Mode") == "navigate" && slices.Contains(windows, h.Get("Sec-Fetch-Dest")) && !ahead(h)
}

// ahead reports whether a page is prefetched.
func ahead(h http.Header) bool {
	return h.Get("Sec-Purpose") != "" || h.Get("Purpose") != "" || h.Get("X-Moz") == "prefetch" || h.Get("X-Purpose") != ""
}

func isFramed(h http.Header) bool {
	dest := h.Get("Sec-Fetch-Dest")
	return dest == "iframe" || dest == "frame"
}

func (v *visit) link() authz.Secret { return authz.Secret(v.r.PathValue("secret")) }

func (v *visit) useLink() error {
	framed := isFramed(v.r.Header)
	if framed {
		if err := v.seeLink(); err != nil {
			return err
		}
	}
	secret, session, err := v.service.StartSession(v.context(), v.link(), framed)
	if err != nil {
		return err
	}
	further, err := v.service.StartFurther(v.context(), v.link(), &session)
	if err != nil {
		return err
	}
	w, err := v.service.Workspace(v.r.Context(), session.Workspace)
	if err != nil {
		return err
	}
	v.settleIn(w)
	framed = session.Embedded && len(w.Portal.FrameAncestors) > 0
	if err := v.begin(framed, authz.Opened{Secret: secret, Session: session}, further...); err != nil {
		return err
	}
	return v.redirect(v.home())
}

// askToUse shows a page with a button that uses the link.
func (v *visit) askToUse() error {
	if err := v.seeLink(); err != nil {
		return err
	}
	v.remember()
	return v.render(http.StatusOK, "link", "link.title", v.base+"/link/"+v.r.PathValue("secret"))
}

// seeLink checks a link without using it up. If the link is opened in a frame, but the workspace allows
// no frames, it stays unused, since the browser would not show the page. Errors: authz.ErrNoSession,
// errFramed.
func (v *visit) seeLink() error {
	link, err := v.service.Link(v.r.Context(), v.link())
	if err != nil {
		return err
	}
	w, err := v.service.Workspace(v.r.Context(), link.Workspace)
	if err != nil {
		return err
	}
	if isFramed(v.r.Header) && len(w.Portal.FrameAncestors) == 0 {
		v.log.LogAttrs(v.r.Context(), slog.LevelWarn, "a link was opened in a frame and left unused: the workspace lists no frame_ancestors",
			slog.String("request_id", v.requestID()), slog.String("workspace", w.ID))
		return errFramed
	}
	v.settleIn(w)
	return nil
}

// usedLink answers a request for an invalid link. A person who is already logged in as its addressee
// continues to the start page. A person logged in as somebody else sees as whom.
func (v *visit) usedLink() error {
	err := v.anySession(func(s *store.Session) bool { return authz.IsFor(v.link(), s) })
	if err == nil {
		return v.redirect(v.home())
	}
	if errors.Is(err, authz.ErrNoSession) {
		err = v.anySession(anybody)
	}
	if err != nil && !errors.Is(err, authz.ErrNoSession) {
		return err
	}
	return errLink
}
