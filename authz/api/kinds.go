package api

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
)

// Kind is a kind of problem. Code is stable and part of the HTTP API; docs/reference/problems has a page for each. Title and
// status are the same in every problem of the kind.
type Kind struct {
	Code   string
	Status int
	Title  string
}

// kinds lists all kinds. The function kind adds to it.
var kinds []Kind

func kind(code string, status int, title string) *Kind {
	k := Kind{code, status, title}
	kinds = append(kinds, k)
	return &k
}

// Kinds returns all kinds of problems.
func Kinds() []Kind { return slices.Clone(kinds) }

// Problems with the request.
var (
	kindMalformed    = kind("malformed_request", http.StatusBadRequest, "Malformed request")
	kindTimeout      = kind("body_timeout", http.StatusRequestTimeout, "Body took too long to arrive")
	kindTooLarge     = kind("body_too_large", http.StatusRequestEntityTooLarge, "Body too large")
	kindMediaType    = kind("unsupported_media_type", http.StatusUnsupportedMediaType, "Unsupported media type")
	kindInvalid      = kind("invalid_input", http.StatusUnprocessableEntity, "Invalid input")
	kindNoPath       = kind("no_such_path", http.StatusNotFound, "No such path")
	kindNoMethod     = kind("method_not_allowed", http.StatusMethodNotAllowed, "Method not allowed")
	kindNotFound     = kind("not_found", http.StatusNotFound, "Not found")
	kindMissingKey   = kind("missing_key", http.StatusUnauthorized, "Missing API key")
	kindInvalidKey   = kind("invalid_key", http.StatusUnauthorized, "Invalid API key")
	kindForbidden    = kind("forbidden", http.StatusForbidden, "Not permitted")
	kindClientClosed = kind("client_closed", 499, "Client closed the request")
)

// Problems with the state of the workspace or the key.
var (
	kindExists       = kind("workspace_exists", http.StatusConflict, "Workspace exists")
	kindRepeated     = kind("idempotency_key_used", http.StatusConflict, "Key already issued")
	kindReused       = kind("idempotency_key_reused", http.StatusUnprocessableEntity, "Idempotency-Key used for another request")
	kindState        = kind("key_state", http.StatusConflict, "Not possible in the key's state")
	kindOwnerLimit   = kind("owner_key_limit", http.StatusConflict, "Owner has the maximum number of keys")
	kindPlanExists   = kind("plan_exists", http.StatusConflict, "Plan exists")
	kindPlanInUse    = kind("plan_in_use", http.StatusConflict, "Keys have the plan")
	kindInherited    = kind("plan_inherited", http.StatusConflict, "Plan is inherited")
	kindLimitsFull   = kind("too_many_limits", http.StatusConflict, "Maximum number of plans or limits")
	kindDecided      = kind("request_decided", http.StatusConflict, "Request already decided")
	kindRequestOpen  = kind("request_open", http.StatusConflict, "Key has an open request")
	kindRequestLimit = kind("open_request_limit", http.StatusConflict, "Too many open requests")
	kindNotOffered   = kind("not_offered", http.StatusConflict, "Plan or scopes no longer offered")
	kindUsageUnknown = kind("usage_unknown", http.StatusConflict, "Use of keys not known for that time")
)

// Problems with the load and the state of the server.
var (
	kindQuota          = kind("quota_exceeded", http.StatusTooManyRequests, "Quota exceeded")
	kindAddressReaders = kind("too_many_readers_from_address", http.StatusTooManyRequests, "Too many readers from this address")
	kindReaders        = kind("too_many_readers", http.StatusServiceUnavailable, "Too many readers")
	kindMinting        = kind("minting_busy", http.StatusServiceUnavailable, "Too many keys are being made")
	kindExchanges      = kind("exchange_busy", http.StatusServiceUnavailable, "Too many exchanges in progress")
	kindNoSigner       = kind("no_signing_key", http.StatusServiceUnavailable, "Signing key not usable yet")
	kindReads          = kind("reads_busy", http.StatusServiceUnavailable, "Too many lists and searches in progress")
	kindTooSlow        = kind("search_too_slow", http.StatusServiceUnavailable, "Search took too long")
	kindNoSet          = kind("set_unreadable", http.StatusServiceUnavailable, "Published set can't be read")
	kindNotReady       = kind("not_ready", http.StatusServiceUnavailable, "Server not ready")
	kindUnavailable    = kind("unavailable", http.StatusServiceUnavailable, "Not possible at the moment")
	kindInternal       = kind("internal_error", http.StatusInternalServerError, "Internal error")
)

// kindOf returns the kind of an error of the router or of huma, which have only a status.
func kindOf(status int) *Kind {
	switch status {
	case http.StatusNotFound:
		return kindNoPath
	case http.StatusServiceUnavailable:
		return kindUnavailable
	}
	for _, k := range kinds {
		if k.Status == status {
			return &k
		}
	}
	return kindInternal
}

// problemsPath is the path below which each kind of problem has its page.
const problemsPath = docsPath + "/problems"

// typed sets the problem's type, unless it is registered elsewhere: the address of the kind's page.
func (a *api) typed(p *Problem) *Problem {
	if p.Type == "" {
		p.Type = a.publicURL + problemsPath + "/" + p.Code
	}
	return p
}

// docsPath is the path of the reference for readers.
const docsPath = "/docs"

// listCodes adds all codes of problems and of rules to the document.
func listCodes(schemas map[string]*huma.Schema) {
	for _, k := range kinds {
		code := schemas["Problem"].Properties["code"]
		code.Enum = append(code.Enum, k.Code)
	}
	for _, r := range authz.Rules() {
		code := schemas["Field"].Properties["code"]
		code.Enum = append(code.Enum, r.Code)
	}
}
