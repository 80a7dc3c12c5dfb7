package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/jwks"
)

// Header values that let a page of any origin make the public calls (Fetch Standard, section 3.2) and read
// their answers, including errors. All answers share these slices, so no code may change them.
var (
	anyOrigin     = []string{"*"}
	exposed       = []string{"Burnkey-Fingerprint, Burnkey-Version, ETag, Retry-After, X-Request-Id"}
	readMethods   = []string{"GET, HEAD"}
	revokeMethods = []string{"POST"}
	askedWith     = []string{"Accept, Authorization, Cache-Control, Content-Type, If-None-Match, Last-Event-ID, X-Request-Id"}
	preflightAge  = []string{"86400"}
)

// forAnyOrigin lets pages of any origin make the public calls. The router answers their OPTIONS requests.
func forAnyOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !isPublic(r.URL.Path) {
			return next(c)
		}
		head := c.Response().Header()
		head["Access-Control-Allow-Origin"], head["Access-Control-Expose-Headers"] = anyOrigin, exposed
		if r.Method == http.MethodOptions {
			head["Access-Control-Allow-Methods"] = readMethods
			if strings.HasSuffix(r.URL.Path, revokePath) || strings.HasSuffix(r.URL.Path, tokenPath) {
				head["Access-Control-Allow-Methods"] = revokeMethods
			}
			head["Access-Control-Allow-Headers"], head["Access-Control-Max-Age"] = askedWith, preflightAge
		}
		return next(c)
	}
}

// isPublic reports whether a path needs no credential: a path below an issuer, or the OpenAPI document.
func isPublic(path string) bool {
	return path == openapiPath || strings.HasPrefix(path, jwks.IssuerPath) || strings.HasPrefix(path, oauthPath+"/") ||
		strings.HasPrefix(path, oidcPath+"/")
}
