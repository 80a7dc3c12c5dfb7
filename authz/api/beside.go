package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz"
)

// beside passes requests of the portal's paths to it. It counts and logs them by the pattern that the
// portal sets on the request, since the paths contain secrets.
func (a *api) beside(portal http.Handler, m *metrics) echo.MiddlewareFunc {
	serve := a.recover(echo.WrapHandler(portal))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if path := c.Request().URL.Path; path != authz.PortalPath && !strings.HasPrefix(path, authz.PortalPath+"/") {
				return next(c)
			}
			v := begin(c)
			v.enter(c)
			r := c.Request() // which the portal gives its pattern
			if err := serve(c); err != nil {
				c.Error(err)
			}
			route := authz.PortalPath
			if _, rest, ok := strings.Cut(" "+r.Pattern, authz.PortalPath+"/"); ok {
				route += "/" + rest
			}
			a.note(m, c, v, route, workspaceOf(r.PathValue("ws")))
			return nil
		}
	}
}
