package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Names of security schemes.
const (
	managementKey = "managementKey"
	clientSecret  = "clientSecret" // a management key as the password of Basic
)

const basicChallenge = `Basic realm="burnkey", charset="UTF-8"`

type principalKey struct{}

// principal returns the caller, which authorize has put into the context.
func principal(ctx context.Context) *authz.Principal {
	p, _ := ctx.Value(principalKey{}).(*authz.Principal)
	return p
}

// authorize checks the caller's scopes before the input, so that errors of guessed input reveal nothing.
func (a *api) authorize(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		ctx.SetHeader("Cache-Control", "no-store")
		p, err := a.admit(ctx)
		if p != nil {
			ctx = huma.WithContext(ctx, store.By(authz.ByKey(ctx.Context(), p),
				store.Actor{Kind: store.ActorKey, ID: p.KeyID.String(), From: clientaddr.Of(ctx.RemoteAddr())}))
		}
		if errors.Is(err, authz.ErrForbidden) {
			a.noteRefusal(ctx.Context(), ctx.Param("ws"), ctx.Operation().OperationID)
		}
		if err != nil {
			a.refuse(h, ctx, err)
			return
		}
		noteCaller(ctx.Context(), p)
		under, done := a.service.AsKey(ctx.Context(), p)
		defer done()
		ctx = huma.WithContext(ctx, under)
		next(huma.WithValue(ctx, principalKey{}, p))
	}
}

// noteRefusal records in the audit that a known caller was refused. A failure does not change the answer.
func (a *api) noteRefusal(ctx context.Context, workspace, call string) {
	if err := a.service.Refused(ctx, workspace, call); err != nil {
		a.log.Error("a refusal is not in the audit", "request_id", requestID(ctx), "error", err)
	}
}

func (a *api) refuse(h huma.API, ctx huma.Context, err error) {
	refusal := a.typed(a.problem(ctx.Context(), err))
	if refusal.Status == http.StatusUnauthorized && accepts(ctx.Operation(), clientSecret) {
		refusal.forOAuthClient()
	}
	for name, values := range refusal.header {
		ctx.SetHeader(name, values[0])
	}
	ctx.SetHeader("Content-Type", problemType)
	ctx.SetStatus(refusal.Status)
	_ = h.Marshal(ctx.BodyWriter(), "application/json", refusal) // a client that left needs no answer
}

// forOAuthClient adds what RFC 6749 section 5.2 and RFC 7662 section 2.3 require after a client's invalid credentials.
func (p *Problem) forOAuthClient() {
	p.OAuth = "invalid_client"
	_ = p.with("WWW-Authenticate", p.header.Get("WWW-Authenticate")+", "+basicChallenge)
}

// checkOnce refuses what huma would ignore: a malformed query, of which a filter could be lost, repeated or
// empty parameters, and invalid UTF-8.
func (a *api) checkOnce(h huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		target := ctx.URL()
		values, err := url.ParseQuery(target.RawQuery)
		var bad authz.InputError
		if err != nil {
			bad.Add("query", authz.RuleMalformed)
		}
		for name, each := range values {
			if len(each) > 1 {
				bad.Add(clip(name), authz.RuleNotOnce)
			} else if each[0] == "" && name != "cursor" { // an empty filter would select everything
				bad.Add(clip(name), authz.RuleEmptyQuery)
			} else if !utf8.ValidString(each[0]) {
				bad.Add(clip(name), authz.RuleNotUTF8)
			} else if strings.ContainsFunc(each[0], unicode.IsControl) {
				bad.Add(clip(name), authz.RuleControl)
			}
		}
		given := 0
		ctx.EachHeader(func(name, _ string) {
			if http.CanonicalHeaderKey(name) == "Idempotency-Key" {
				given++
			}
		})
		if given > 1 {
			bad.Add("Idempotency-Key", authz.RuleNotOnce)
		}
		if len(bad) > 0 {
			a.refuse(h, ctx, bad)
			return
		}
		if !taken(ctx) {
			a.refuse(h, ctx, notTaken(ctx.Operation().RequestBody))
			return
		}
		next(ctx)
	}
}

// taken reports whether the operation accepts the body's media type. huma alone would read any type that ends
// in +json as JSON, including JSON Patch (RFC 6902).
func taken(ctx huma.Context) bool {
	body := ctx.Operation().RequestBody
	kind, _, _ := strings.Cut(ctx.Header("Content-Type"), ";")
	if kind = strings.ToLower(strings.TrimSpace(kind)); body == nil || kind == "" {
		return true
	}
	return body.Content[kind] != nil
}

func (a *api) admit(ctx huma.Context) (*authz.Principal, error) {
	token, err := bearer(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.service.Authenticate(token)
	if err != nil {
		return nil, err
	}
	if p.Moved {
		a.sayMoved()
	}
	var scopes []string
	for _, alternative := range ctx.Operation().Security {
		scopes = append(scopes, alternative[managementKey]...)
	}
	workspace := ctx.Param("ws")
	if workspace == "" && (ctx.Method() == http.MethodGet || ctx.Operation().OperationID == feedID) {
		// A list or feed shows a tied key only its own workspace. Other calls without a workspace concern all of them.
		workspace = p.Workspace
	}
	return p, p.May(workspace, scopes...)
}

// bearer returns the token in the header Authorization (RFC 6750 section 2.1), the only accepted place. Where the operation
// has the scheme, an OAuth client can send it as its password (RFC 6749 section 2.3.1).
func bearer(ctx huma.Context) (string, error) {
	var values []string
	ctx.EachHeader(func(name, value string) {
		if http.CanonicalHeaderKey(name) == "Authorization" {
			values = append(values, value)
		}
	})
	token, no := jwks.BearerToken(values...)
	if no != nil && accepts(ctx.Operation(), clientSecret) && len(values) == 1 {
		if _, secret, ok := basicCredentials(values[0]); ok {
			return secret, nil
		}
	}
	if no != nil {
		how := "Authorization: Bearer …."
		if accepts(ctx.Operation(), clientSecret) {
			how = "Authorization: Bearer …, or Basic with the key as the password."
		}
		return "", newProblem(kindMissingKey, "This call requires a management key: "+how).
			with("WWW-Authenticate", `Bearer realm="burnkey"`)
	}
	return token, nil
}

func accepts(op *huma.Operation, scheme string) bool {
	return slices.ContainsFunc(op.Security, func(alternative map[string][]string) bool {
		_, named := alternative[scheme]
		return named
	})
}

// basicCredentials reads the Basic credentials of an OAuth client (RFC 6749 section 2.3.1). Some clients encode them as a
// form does, and some don't; for the characters of a token, both can be read in the same way. An imported key can also contain
// a plus sign. It is not read as a space, which no key contains.
func basicCredentials(header string) (id, secret string, ok bool) {
	id, secret, ok = (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
	if plain, err := url.QueryUnescape(id); err == nil {
		id = plain
	}
	if plain, err := url.PathUnescape(secret); err == nil {
		secret = plain
	}
	return id, secret, ok
}
