package gateway

import (
	"slices"
	"strings"
	"sync"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/burnkey/burnkey/jwks"
)

// Refusals that package jwks does not know, of a token that is good elsewhere.
var (
	// misconfigured is the answer where a route asks for what is not known: to let it
	// pass would make of a slip of the pen an open door.
	misconfigured  = &jwks.Refusal{Reason: "configuration", Status: 500, Detail: "What this route requires cannot be read."}
	otherWorkspace = &jwks.Refusal{
		Reason: "workspace", Status: 401, Code: "invalid_token", Detail: "The token's workspace is not accepted here.",
	}
	neverExpires = &jwks.Refusal{
		Reason: "never_expires", Status: 401, Code: "invalid_token", Detail: "The token never expires, which is not accepted here.",
	}
)

// A requirement is what a route asks of a token beyond that it is good. Each is a
// list separated by spaces; empty asks for nothing.
type requirement struct{ audience, scopes, workspace string }

// readRequirement reads a route's context_extensions.
func readRequirement(extensions map[string]string) (need requirement, err error) {
	for name, value := range extensions {
		switch name {
		case "audience":
			need.audience = value
		case "scopes":
			need.scopes = value
		case "workspace":
			need.workspace = value
		default:
			return requirement{}, &faultError{name, "is none of audience, scopes and workspace"}
		}
		if strings.TrimSpace(value) == "" {
			return requirement{}, &faultError{name, "is empty; leave it out to ask for nothing"}
		}
		if name != "audience" && strings.Contains(value, ",") { // which may well be in the name of one
			return requirement{}, &faultError{name, "has a comma; put spaces between its items"}
		}
	}
	return need, nil
}

func (n *requirement) check(workspace string, claims *jwks.Claims) *jwks.Refusal {
	if n.workspace != "" && !lists(n.workspace, workspace) {
		return otherWorkspace
	}
	if n.audience != "" && !slices.ContainsFunc(claims.Audience, func(aud string) bool { return lists(n.audience, aud) }) {
		return jwks.InvalidToken(jwks.ErrAudience)
	}
	for scope := range strings.FieldsSeq(n.scopes) {
		if !lists(claims.Scope, scope) {
			return jwks.TooNarrow
		}
	}
	return nil
}

// lists reports whether a list separated by spaces has the item.
func lists(list, item string) bool {
	for have := range strings.FieldsSeq(list) {
		if have == item {
			return true
		}
	}
	return false
}

// faultError says what of a route's context_extensions cannot be obeyed.
type faultError struct{ name, detail string }

func (e *faultError) Error() string { return e.name + " " + e.detail }

// Bounds of what is told of routes. What is wrong is of the configuration, but where
// it was met is of whoever asks.
const (
	faultsEvery = time.Minute
	faultsMax   = 100 // of different text
	placesMax   = 10  // of each
	faultLen    = 200 // bytes
	placeLen    = 64
)

// faults are those that were told of since a moment, by text and place.
type faults struct {
	mu    sync.Mutex
	since time.Time
	told  map[string]map[string]bool
}

// isNew reports whether a fault is to be told of.
func (f *faults) isNew(text, place string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told == nil || now.Sub(f.since) >= faultsEvery {
		f.since, f.told = now, make(map[string]map[string]bool)
	}
	places, ok := f.told[text]
	if !ok {
		if len(f.told) >= faultsMax {
			return false
		}
		places = make(map[string]bool)
		f.told[text] = places
	}
	if places[place] || len(places) >= placesMax {
		return false
	}
	places[place] = true
	return true
}

// tellFault logs a fault of a route with the host and the beginning of the path of
// the request that met it.
func (g *Gateway) tellFault(err error, r *authv3.AttributeContext_HttpRequest) {
	text := cut(err.Error(), faultLen)
	host, prefix := cut(r.GetHost(), placeLen), pathPrefix(r.GetPath())
	if !g.faults.isNew(text, host+prefix, time.Now()) {
		return
	}
	g.o.Log.Error("a route's context_extensions cannot be read, and all its requests are refused",
		"fault", text, "host", host, "path", prefix)
}

func cut(text string, limit int) string { return text[:min(len(text), limit)] }

// pathPrefix returns the first two parts of a path. The rest, and the query, may hold
// what does not belong into a log.
func pathPrefix(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.SplitN(path, "/", 4)
	return cut(strings.Join(parts[:min(len(parts), 3)], "/"), placeLen)
}
