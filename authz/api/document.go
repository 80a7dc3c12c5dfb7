package api

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/jwks"
)

// Calls whose answers are not JSON of Go types do not use huma, and are described here manually. A test
// compares their answers with these descriptions.

// answer is the content of a response.
type answer struct {
	mediaType string
	schema    func(huma.Registry) *huma.Schema
}

type answers map[int]answer

func ofType[T any](mediaType string) answer {
	return answer{mediaType, func(r huma.Registry) *huma.Schema { return r.Schema(reflect.TypeFor[T](), true, "") }}
}

var (
	problem   = ofType[Problem](problemType)
	status    = ofType[Status]("application/json")
	nothing   = answer{}
	text      = answer{"text/plain", func(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }}
	anyObject = answer{"application/vnd.oai.openapi+json;version=3.1", object(nil).Schema}
	jwkSet    = ofType[JWKSet](jwks.MediaType)
	metadata  = ofType[Metadata]("application/json")

	accessToken = ofType[AccessToken]("application/json")
	oauthError  = ofType[OAuthError]("application/json")

	tokenRevocation = ofType[TokenRevocation]("application/json")

	tokenLimits = ofType[TokenLimits]("application/json")
)

// Status is the answer of health and readiness checks that pass.
type Status struct {
	Status string `json:"status" enum:"ok"`
}

// JWK and JWKSet describe a published key set (RFC 7517) for the document. Package jwks renders the actual set.
type (
	JWK struct {
		Kty string `json:"kty" enum:"RSA"`
		Use string `json:"use" enum:"sig"`
		Alg string `json:"alg" enum:"RS256"`
		KID string `json:"kid" doc:"The key's RFC 7638 SHA-256 thumbprint" minLength:"43" maxLength:"43"`
		N   string `json:"n" doc:"Modulus, base64url"`
		E   string `json:"e" enum:"AQAB"`
	}
	JWKSet struct {
		Keys []JWK `json:"keys" nullable:"false"`
	}
)

// readable registers and describes a GET and a HEAD with the same handler: net/http omits the body for HEAD.
func readable(e *echo.Echo, h huma.API, handler echo.HandlerFunc, id, path, summary string, as answers, change ...func(*huma.Operation)) {
	e.Match([]string{http.MethodGet, http.MethodHead}, routeOf(path), handler)
	document(h, http.MethodGet, id, path, summary, as, change...)
	describeHead(h.OpenAPI().Paths[path])
}

// document describes an operation.
func document(h huma.API, method, id, path, summary string, as answers, change ...func(*huma.Operation)) {
	op := &huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Responses: make(map[string]*huma.Response),
	}
	as[http.StatusInternalServerError] = problem
	for code, a := range as {
		response := &huma.Response{Description: http.StatusText(code)}
		if a.schema != nil {
			response.Content = map[string]*huma.MediaType{a.mediaType: {Schema: a.schema(h.OpenAPI().Components.Schemas)}}
		}
		op.Responses[strconv.Itoa(code)] = response
	}
	for _, f := range change {
		f(op)
	}
	h.OpenAPI().AddOperation(op)
}

// describeHead describes the HEAD of a GET.
func describeHead(item *huma.PathItem) {
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

// routeOf converts a path template to echo's syntax.
func routeOf(path string) string { return strings.NewReplacer("{", ":", "}", "").Replace(path) }

// heads adds a HEAD to each GET (RFC 9110 section 9.3.2), with the same handler: net/http omits the body.
func heads(e *echo.Echo, h huma.API) {
	for path, item := range h.OpenAPI().Paths {
		if item.Get == nil {
			continue
		}
		describeHead(item)
		e.HEAD(routeOf(path), func(c echo.Context) error {
			r := c.Request().Clone(c.Request().Context())
			r.Method = http.MethodGet
			c.SetRequest(r)
			e.Router().Find(http.MethodGet, r.URL.EscapedPath(), c)
			return c.Handler()(c)
		})
	}
}

// inWorkspace adds the path parameter.
func inWorkspace(op *huma.Operation) {
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "ws", In: "path", Required: true, Description: "The workspace's id",
		Schema: &huma.Schema{Type: huma.TypeString, Pattern: jwks.WorkspacePattern},
	})
}

func optional(name, in, description string) func(*huma.Operation) {
	return func(op *huma.Operation) {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: name, In: in, Description: description, Schema: &huma.Schema{Type: huma.TypeString},
		})
	}
}
