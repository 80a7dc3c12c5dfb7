package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz"

	"github.com/burnkey/burnkey/jwks"
)

// front answers GET and HEAD of a published set before the router, where all
// gateways ask again and again. It names, counts, times and logs as observe does.
// Other requests, and other spellings of the path, go on.
func (a *api) front(sets http.Handler, m *metrics) echo.MiddlewareFunc {
	serve := a.recover(echo.WrapHandler(sets))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ws, ok := setAsked(c.Request())
			if !ok {
				return next(c)
			}
			v := begin(c)
			if err := serve(c); err != nil {
				v.enter(c) // only now, for what it copies
				c.Error(err)
			}
			a.note(m, c, v, setRoute, ws)
			return nil
		}
	}
}

// setAsked returns the workspace whose set a request asks for, spelled in the one way
// that needs no router.
func setAsked(r *http.Request) (ws string, ok bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.RawPath != "" {
		return "", false
	}
	ws, ok = strings.CutPrefix(r.URL.Path, jwks.IssuerPath)
	if !ok {
		return "", false
	}
	ws, ok = strings.CutSuffix(ws, jwks.SetPath)
	return ws, ok && authz.CheckWorkspaceID("ws", ws) == nil
}
