package api

import (
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz/api/reference"
	pages "github.com/burnkey/burnkey/docs/reference"
	"github.com/burnkey/burnkey/jwks"
)

var (
	html = answer{"text/html", func(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }}
	css  = answer{"text/css", func(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }}
)

// docs adds the reference for readers. Links are relative, since a proxy may add a path in front.
func (a *api) docs(e *echo.Echo, h huma.API) {
	whole := sync.OnceValues(func() ([]byte, error) {
		text, err := pages.Pages.ReadFile("http.md")
		if err != nil {
			return nil, err
		}
		return reference.Page("http.md", withOperations(string(text), h.OpenAPI()), "docs")
	})
	readable(e, h, func(c echo.Context) error {
		text, err := whole()
		return a.show(c, text, err)
	}, "docs", docsPath, "The reference of the HTTP API, for readers", answers{200: html})
	readable(e, h, func(c echo.Context) error {
		return a.page(c, "problems/index.md", "../docs")
	}, "docs-problems", problemsPath, "All kinds of problems, for readers", answers{200: html})
	readable(e, h, func(c echo.Context) error {
		return a.page(c, "problems/"+c.Param("code")+".md", "../../docs")
	}, "docs-problem", problemsPath+"/{code}", "A kind of problem, for readers", answers{200: html, 404: problem}, ofKind)
	readable(e, h, func(c echo.Context) error {
		return a.page(c, "refusals.md", "../docs")
	}, "docs-refusals", jwks.RefusalsPath, "Why gateways refuse requests, for readers", answers{200: html})
	readable(e, h, func(c echo.Context) error {
		secureDocs(c)
		return c.Blob(http.StatusOK, "text/css; charset=utf-8", reference.Style)
	}, "docs-style", docsPath+"/style.css", "The style of the reference", answers{200: css})
}

// withOperations replaces the generated part of http.md by the operations of this server's own document.
func withOperations(text string, doc *huma.OpenAPI) string {
	before, rest, _ := strings.Cut(text, "<!-- generated: operations -->")
	_, after, _ := strings.Cut(rest, "<!-- end: operations -->")
	return before + reference.Markdown(doc) + after
}

// ofKind describes the path parameter of a problem's page.
func ofKind(op *huma.Operation) {
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "code", In: "path", Required: true, Description: "The code of a problem, or fields for the rules of fields",
		Schema: &huma.Schema{Type: huma.TypeString}, Example: "not_found",
	})
}

// page answers with an embedded page. Its name is checked by the file system, which has only these pages.
func (a *api) page(c echo.Context, file, root string) error {
	text, err := pages.Pages.ReadFile(file)
	if err != nil {
		return echo.ErrNotFound
	}
	body, err := reference.Page(file, string(text), root)
	return a.show(c, body, err)
}

func (a *api) show(c echo.Context, body []byte, err error) error {
	if err != nil {
		return err
	}
	secureDocs(c)
	return c.HTMLBlob(http.StatusOK, body)
}

func secureDocs(c echo.Context) {
	head := c.Response().Header()
	head.Set("Content-Security-Policy", reference.Policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "public, max-age=300")
}
