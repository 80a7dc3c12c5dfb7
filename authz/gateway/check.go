package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/burnkey/burnkey/jwks"
)

// Check answers Envoy about one request (envoy.service.auth.v3.Authorization). A
// refusal is no error.
func (g *Gateway) Check(_ context.Context, in *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	start := time.Now()
	request := in.GetAttributes().GetRequest().GetHttp()
	need, err := readRequirement(in.GetAttributes().GetContextExtensions())
	if err != nil {
		g.tellFault(err)
	}
	t, claims, no := g.judge(request, need, err)
	answer := g.answers.pass(t, claims)
	if no == nil && answer == nil {
		no = jwks.InvalidToken(jwks.ErrClaims)
	}
	reason := passed
	if no != nil {
		reason, answer = no.Reason, g.answers.refuse(no, request.GetMethod() == "HEAD", need.scopes)
	}
	g.metrics.decided(reason, time.Since(start))
	return answer, nil
}

// judge says whose token a request has, or why it is refused. What a route needs
// may not have been readable.
func (g *Gateway) judge(r *authv3.AttributeContext_HttpRequest, need requirement, fault error) (*tenant, *jwks.Claims, *jwks.Refusal) {
	if fault != nil {
		return nil, nil, misconfigured
	}
	token, no := bearer(r)
	if no != nil {
		return nil, nil, no
	}
	t, claims, err := g.verify(token)
	switch {
	case errors.Is(err, jwks.ErrNotReady), errors.Is(err, jwks.ErrStale):
		return nil, nil, jwks.NotNow
	case err != nil:
		return nil, nil, jwks.InvalidToken(err)
	}
	if no := need.check(t.id, claims); no != nil {
		return nil, nil, no
	}
	return t, claims, nil
}

// bearer finds the token. Envoy joins what was sent twice by a comma, which no token
// has, or with encode_raw_headers sends each.
func bearer(r *authv3.AttributeContext_HttpRequest) (string, *jwks.Refusal) {
	var values []string
	if value, ok := r.GetHeaders()["authorization"]; ok {
		values = append(values, value)
	}
	for _, h := range r.GetHeaderMap().GetHeaders() {
		if strings.EqualFold(h.GetKey(), "authorization") {
			values = append(values, headerValue(h))
		}
	}
	return jwks.BearerToken(values...)
}

func headerValue(h *corev3.HeaderValue) string {
	if raw := h.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return h.GetValue()
}

// misconfigured is the answer where a route asks for what is not known: to let it
// pass would make of a slip of the pen an open door.
var misconfigured = &jwks.Refusal{Reason: "configuration", Status: 500, Detail: "What this route requires cannot be read."}

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
	}
	return need, nil
}

func (n *requirement) check(workspace string, claims *jwks.Claims) *jwks.Refusal {
	if n.workspace != "" && !lists(n.workspace, workspace) {
		return jwks.InvalidToken(jwks.ErrIssuer)
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

// tellFault logs a fault of a route, once a second at most.
func (g *Gateway) tellFault(err error) {
	now, last := time.Now().UnixNano(), g.told.Load()
	if now-last < int64(time.Second) || !g.told.CompareAndSwap(last, now) {
		return
	}
	text := err.Error()
	g.o.Log.Error("a route's context_extensions cannot be read, and all its requests are refused",
		"fault", text[:min(len(text), 200)])
}
