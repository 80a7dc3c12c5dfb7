package gateway

import (
	"net/http"

	"github.com/burnkey/burnkey/jwks"
)

const realm = "api"

// Refusals in addition to those of package jwks.
var (
	// misconfigured refuses every request of a route with an invalid requirement.
	// Otherwise a typo would open the route.
	misconfigured  = &jwks.Refusal{Reason: "configuration", Status: 500, Detail: "The requirements of this route are invalid."}
	otherWorkspace = &jwks.Refusal{
		Reason: "workspace", Status: 401, Code: "invalid_token", Detail: "The token's workspace is not accepted here.",
	}
	neverExpires = &jwks.Refusal{
		Reason: "never_expires", Status: 401, Code: "invalid_token", Detail: "The token never expires, which is not accepted here.",
	}
)

// A Header is one header of a response.
type Header struct{ Name, Value string }

// ResponseHeaders returns the headers of the response to a refused request. Its body is Refusal.Problem.
func (d *Decision) ResponseHeaders() []Header {
	headers := append(make([]Header, 0, 5),
		Header{"content-type", "application/problem+json"},
		Header{"cache-control", "no-store"},
		Header{"x-content-type-options", "nosniff"})
	if challenge := d.Refusal.Challenge(realm, d.scopes); challenge != "" {
		headers = append(headers, Header{"www-authenticate", challenge})
	}
	if d.Refusal.Status == http.StatusServiceUnavailable {
		headers = append(headers, Header{"retry-after", "1"})
	}
	return headers
}
