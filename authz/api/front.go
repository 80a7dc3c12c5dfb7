package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
)

// sets answers GET and HEAD of a published set without the router, since gateways send these most often. Like
// observe, it gives each request an id, and counts, times and logs it. Other requests, and other spellings of
// these paths, go to the router.
func (a *api) sets(sets http.Handler, m *metrics) echo.MiddlewareFunc {
	serve := a.recover(echo.WrapHandler(sets))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ws, ok := requestedSet(c.Request())
			if !ok {
				return next(c)
			}
			v := begin(c)
			if err := serve(c); err != nil {
				v.enter(c) // only here, since it copies the request
				c.Error(err)
			}
			a.note(m, c, v, setRoute, ws)
			return nil
		}
	}
}

// requestedSet returns the workspace whose set is requested, if the path is spelt without percent-encoding.
func requestedSet(r *http.Request) (ws string, ok bool) {
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

// portal passes requests for the portal's paths to the portal. It counts and logs them by the pattern that the
// portal sets on the request, since the paths contain secrets.
func (a *api) portal(portal http.Handler, m *metrics) echo.MiddlewareFunc {
	serve := a.observe(m, portalRoute)(a.recover(echo.WrapHandler(portal)))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if path := c.Request().URL.Path; path != authz.PortalPath && !strings.HasPrefix(path, authz.PortalPath+"/") {
				return next(c)
			}
			return serve(c)
		}
	}
}

func portalRoute(c echo.Context) (route, workspace string) {
	r := c.Request()
	if _, rest, ok := strings.Cut(" "+r.Pattern, authz.PortalPath+"/"); ok {
		return authz.PortalPath + "/" + rest, r.PathValue("ws")
	}
	return authz.PortalPath, r.PathValue("ws")
}
