package api

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
)

// heads adds a HEAD operation to each management GET (RFC 9110 section 9.3.2): the same call,
// of which net/http sends only the header.
func (a *api) heads(e *echo.Echo, h huma.API) {
	for path, item := range h.OpenAPI().Paths {
		if item.Get == nil {
			continue
		}
		route := strings.NewReplacer("{", ":", "}", "").Replace(path)
		e.HEAD(route, asGet(e))
		op := *item.Get
		op.OperationID += "-head"
		op.Method = http.MethodHead
		op.Summary += ": header only"
		op.Responses = make(map[string]*huma.Response, len(item.Get.Responses))
		for status, response := range item.Get.Responses {
			op.Responses[status] = &huma.Response{Description: response.Description, Headers: response.Headers}
		}
		item.Head = &op
	}
}

func asGet(e *echo.Echo) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request().Clone(c.Request().Context())
		r.Method = http.MethodGet
		c.SetRequest(r)
		e.Router().Find(http.MethodGet, r.URL.EscapedPath(), c)
		return c.Handler()(c)
	}
}
