package jwks

import (
	"encoding/json"
	"net/http"
	"strings"
)

// RefusalsPath is the path of the page about refusals, at each server. It has an anchor for each code.
const RefusalsPath = "/docs/refusals"

// A RefusalCode is the stable name of a kind of refusal, for programs to compare.
type RefusalCode struct {
	Code   string
	Status int
	Title  string
}

// refusalCodes lists all codes; only rendered configurations of Envoy have body_too_large, user_missing and user_invalid.
// docs/reference/refusals.md explains each.
var refusalCodes = []RefusalCode{
	{"bad_request", http.StatusBadRequest, "Malformed credential"},
	{"two_keys", http.StatusBadRequest, "Two different API keys"},
	{"missing", http.StatusUnauthorized, "Missing API key"},
	{"malformed", http.StatusUnauthorized, "Malformed API key"},
	{"claims", http.StatusUnauthorized, "Malformed claims"},
	{"unknown", http.StatusUnauthorized, "API key revoked, suspended or unknown"},
	{"expired", http.StatusUnauthorized, "API key expired"},
	{"never_expires", http.StatusUnauthorized, "API key never expires"},
	{"issuer", http.StatusUnauthorized, "API key of another issuer"},
	{"prefix", http.StatusUnauthorized, "Wrong prefix"},
	{"workspace", http.StatusUnauthorized, "API key of another workspace"},
	{"environment", http.StatusUnauthorized, "API key of another environment"},
	{"audience", http.StatusUnauthorized, "API key for another API"},
	{"signature", http.StatusUnauthorized, "Wrong signature"},
	{"user_missing", http.StatusUnauthorized, "Missing user"},
	{"user_invalid", http.StatusUnauthorized, "Invalid token of a user"},
	{"scope", http.StatusForbidden, "Missing scope"},
	{"address", http.StatusForbidden, "Address not allowed"},
	{"body_too_large", http.StatusRequestEntityTooLarge, "Body too large"},
	{"limit", http.StatusTooManyRequests, "Quota exceeded"},
	{"configuration", http.StatusInternalServerError, "Invalid configuration of the route"},
	{"unavailable", http.StatusServiceUnavailable, "API keys can't be verified"},
	{"limits_unavailable", http.StatusServiceUnavailable, "Limits can't be checked"},
}

// RefusalCodes returns all codes of refusals.
func RefusalCodes() []RefusalCode { return append([]RefusalCode{}, refusalCodes...) }

// Code is the stable name of the refusal, which its problem has as code. It is the Reason, except for NoToken, whose
// word in the metrics is older.
func (r *Refusal) Code() string {
	if r == NoToken {
		return "missing"
	}
	return r.Reason
}

// A problem is the body of a refusal (RFC 9457).
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	Code     string   `json:"code"`
	Violated []string `json:"violated-policies,omitempty"`
}

// quotaType is the type that is registered for problems of a quota (draft-ietf-httpapi-ratelimit-headers section 8.1).
const quotaType = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// Problem returns the type and the title of problems with this code (RFC 9457). The type leads to the page of the server
// with this public URL, or is about:blank without one.
func (c RefusalCode) Problem(server string) (typ, title string) {
	switch {
	case c.Code == OverLimit.Reason:
		return quotaType, c.Title
	case server == "":
		return "about:blank", http.StatusText(c.Status) // as RFC 9457 section 4.2.1 has it
	default:
		return strings.TrimRight(server, "/") + RefusalsPath + "#" + c.Code, c.Title
	}
}

// Problem returns the refusal in the format application/problem+json, as RefusalCode.Problem says. violated are the names
// of exceeded limits, for OverLimit.
func (r *Refusal) Problem(server string, violated ...string) []byte {
	code := RefusalCode{Code: r.Code(), Status: r.Status}
	for i := range refusalCodes {
		if refusalCodes[i].Code == code.Code {
			code = refusalCodes[i]
		}
	}
	typ, title := code.Problem(server)
	body, err := json.Marshal(problem{typ, title, r.Status, r.Detail, code.Code, violated})
	if err != nil {
		panic(err) // strings and a number
	}
	return body
}
