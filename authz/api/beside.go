package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz"
)

// beside leaves the portal's paths to it. They are named, counted, timed and logged as
// ours are, by the pattern that the portal gives the request: its paths have secrets.
func (a *api) beside(portal http.Handler, m *metrics) echo.MiddlewareFunc {
	serve := a.recover(echo.WrapHandler(portal))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if path := c.Request().URL.Path; path != authz.PortalPath && !strings.HasPrefix(path, authz.PortalPath+"/") {
				return next(c)
			}
			start := time.Now()
			v := &visit{id: nameOf(c.Request())}
			c.Response().Header().Set(echo.HeaderXRequestID, v.id)
			r := c.Request().WithContext(context.WithValue(c.Request().Context(), visitKey{}, v))
			c.SetRequest(r)
			if err := serve(c); err != nil {
				c.Error(err)
			}
			s := seen{
				visit: *v, route: authz.PortalPath, from: c.RealIP(),
				status: c.Response().Status, bytes: c.Response().Size, took: time.Since(start),
			}
			if _, route, ok := strings.Cut(" "+r.Pattern, authz.PortalPath+"/"); ok {
				s.route = authz.PortalPath + "/" + route
			}
			if ws := r.PathValue("ws"); authz.CheckWorkspaceID("ws", ws) == nil {
				s.workspace = ws
			}
			a.note(m, r, s)
			return nil
		}
	}
}
