package api

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

const openapiPath = "/openapi.json"

// Paths under an issuer.
const (
	oidcPath   = "/.well-known/openid-configuration"
	oauthPath  = "/.well-known/oauth-authorization-server"
	revokePath = "/revoke"
	limitsPath = "/limits"
)

// Metadata of an issuer (RFC 8414 section 2 and OpenID Connect Discovery 1.0 section 3). The lists that both
// standards require are empty, since an issuer has no login.
type Metadata struct {
	Issuer                  string   `json:"issuer"`
	JWKSURI                 string   `json:"jwks_uri"`
	TokenEndpoint           string   `json:"token_endpoint,omitempty" doc:"Only if the workspace exchanges keys"`
	TokenAuthMethods        []string `json:"token_endpoint_auth_methods_supported,omitempty" nullable:"false" doc:"As token_endpoint"`
	RevocationEndpoint      string   `json:"revocation_endpoint"`
	RevocationAuthMethods   []string `json:"revocation_endpoint_auth_methods_supported" nullable:"false"`
	IntrospectionEndpoint   string   `json:"introspection_endpoint"`
	IntrospectAuthMethods   []string `json:"introspection_endpoint_auth_methods_supported" nullable:"false"`
	ResponseTypes           []string `json:"response_types_supported" nullable:"false"`
	GrantTypes              []string `json:"grant_types_supported" nullable:"false"`
	SubjectTypes            []string `json:"subject_types_supported" nullable:"false"`
	IDTokenSigningAlgValues []string `json:"id_token_signing_alg_values_supported" nullable:"false"`
}

// setRoute is the router's pattern for a published set.
const setRoute = jwks.IssuerPath + ":ws" + jwks.SetPath

// public adds the calls that need no credential, and returns the handler of published sets.
func (a *api) public(e *echo.Echo, h huma.API) http.Handler {
	const issuer = jwks.IssuerPath + "{ws}"
	sets := &publish.Handler{MaxAge: MaxAge, Age: a.ageOf(jwks.SetPath)}
	sets.Set = func(r *http.Request) (*publish.Set, bool) { return a.publisher.Set(issuerOf(r, jwks.SetPath)) }
	sets.Tombstone = func(r *http.Request, set *publish.Set) (jwks.Key, bool) {
		return a.publisher.Tombstone(r.Context(), issuerOf(r, jwks.SetPath), set)
	}
	sets.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.writeProblem(w, a.noSet(issuerOf(r, jwks.SetPath)))
	})
	readable(e, h, echo.WrapHandler(sets), "jwks", issuer+jwks.SetPath, "The published keys",
		answers{200: jwkSet, 304: nothing, 404: problem, 503: problem}, inWorkspace,
		optional("kid", "query", "The same shape with this one key, or with the tombstone alone where it is not published"),
		optional("If-None-Match", "header", "The ETag last seen: the version and the beginning of the fingerprint"))
	for i, path := range a.metadataPaths(issuer) {
		readable(e, h, a.metadata, "metadata-"+string(rune('a'+i)), path, "Issuer metadata",
			answers{200: metadata, 404: problem}, inWorkspace)
	}
	e.POST(jwks.IssuerPath+":ws"+revokePath, a.revokeToken)
	document(h, http.MethodPost, "revoke-token", issuer+revokePath, "Revoke a token by possession (RFC 7009)",
		answers{200: tokenRevocation, 400: problem, 404: problem, 408: problem, 413: problem, 415: problem, 429: problem, 503: problem},
		inWorkspace, revokeForm)
	e.POST(jwks.IssuerPath+":ws"+tokenPath, a.tokenEndpoint)
	document(h, http.MethodPost, "exchange-key", issuer+tokenPath, "Exchange a key for an access token",
		answers{
			200: accessToken, 400: oauthError, 401: oauthError, 404: problem, 408: problem, 413: problem, 415: problem, 429: problem,
			503: problem,
		}, inWorkspace, exchangeBody)
	readable(e, h, a.limitsOfToken, "token-limits", issuer+limitsPath, "The limits of the key itself, and what is left",
		answers{200: tokenLimits, 401: problem, 403: problem, 404: problem, 429: problem, 503: problem}, inWorkspace, byToken)
	return sets
}

// issuerOf returns the workspace in a request's path that ends with `path`.
func issuerOf(r *http.Request, path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, jwks.IssuerPath), path)
}

// metadataPaths returns the path of OpenID Connect Discovery, the path of RFC 8414 (section 3.1: before the
// issuer's path), and two mixtures that clients use by mistake. If the public URL has a path, the path of RFC
// 8414 contains that, too.
func (a *api) metadataPaths(issuer string) []string {
	paths := []string{issuer + oidcPath, oauthPath + issuer, issuer + oauthPath, oidcPath + issuer}
	if public, err := url.Parse(a.service.Issuer("")); err == nil {
		if prefix := strings.TrimSuffix(public.Path, jwks.IssuerPath); prefix != "" {
			paths = append(paths, oauthPath+prefix+issuer, oidcPath+prefix+issuer)
		}
	}
	return paths
}

func (a *api) metadata(c echo.Context) error {
	ws := c.Param("ws")
	if _, ok := a.publisher.Set(ws); !ok && !a.publisher.Unread(ws) {
		return authz.ErrNotFound
	}
	issuer := a.service.Issuer(ws)
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	shown := Metadata{
		Issuer: issuer, JWKSURI: issuer + jwks.SetPath, RevocationEndpoint: issuer + revokePath,
		RevocationAuthMethods: []string{"none"}, IntrospectionEndpoint: issuer + introspectPath,
		IntrospectAuthMethods: []string{"Bearer", "client_secret_basic"}, ResponseTypes: []string{}, GrantTypes: []string{},
		SubjectTypes: []string{"public"}, IDTokenSigningAlgValues: []string{"RS256"},
	}
	if a.service.Exchanges(ws) {
		shown.TokenEndpoint, shown.GrantTypes = issuer+tokenPath, []string{grantClient, grantBearer, grantExchange}
		shown.TokenAuthMethods = []string{"client_secret_basic", "client_secret_post"}
	}
	return c.JSON(http.StatusOK, shown)
}

// revokeToken implements RFC 7009: anyone who has a token may revoke it.
func (a *api) revokeToken(c echo.Context) error {
	r := c.Request()
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return oauthProblem(kindMediaType, "The body must be application/x-www-form-urlencoded.").
			field("Content-Type", "must be application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return notForm()
	}
	text, err := onlyToken(r.PostForm)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	token, err := jwks.ReadPasted(text)
	if err != nil {
		token = jwks.Token(strings.TrimSpace(text)) // an imported key, or none, but the workspace may not exist either
	}
	ctx := store.By(r.Context(), store.Actor{Kind: store.ActorToken, From: clientaddr.Of(r.RemoteAddr)})
	var crowded *authz.CrowdedError
	revoked, err := a.service.RevokeToken(ctx, c.Param("ws"), token)
	switch {
	case errors.Is(err, authz.ErrNotFound):
		return newProblem(kindNotFound, "There is no such workspace.")
	case errors.Is(err, authz.ErrAccessToken):
		p := oauthProblem(kindMalformed, "An access token can't be revoked: it ends within the hour, or with its key.").
			field("token", "must be the token of a key")
		p.OAuth = "unsupported_token_type"
		return p
	case errors.As(err, &crowded):
		return tooManyReads("This address", crowded)
	case err != nil:
		return err
	case revoked:
		return c.JSON(http.StatusOK, TokenRevocation{"revoked"})
	}
	return c.JSON(http.StatusOK, TokenRevocation{"unknown"})
}

// TokenRevocation is the answer to a revocation by possession. RFC 7009 section 2.2 has no body, and clients ignore it; but
// the finder of a leaked key must see whether it still works.
type TokenRevocation struct {
	Status string `json:"status" enum:"revoked,unknown" doc:"unknown: the text is not the token of a valid key; it may be incomplete"`
}

func oauthProblem(k *Kind, detail string) *Problem {
	p := newProblem(k, detail)
	p.OAuth = "invalid_request"
	return p
}

func (a *api) writeProblem(w http.ResponseWriter, p *Problem) {
	body, err := json.Marshal(a.typed(p))
	if err != nil {
		a.log.Error("a problem was not rendered", "error", err)
	}
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that left needs no answer
}

func revokeForm(op *huma.Operation) {
	op.RequestBody = tokenForm("The token; surrounding text such as spaces, quotes or Bearer is removed. " +
		"200 also for a text that is not a token of a key of the workspace")
}

// ageOf returns a function that returns, for a request of `path`, the time since the workspace's set was last
// known to equal the stored set.
func (a *api) ageOf(path string) func(*http.Request) time.Duration {
	return func(r *http.Request) time.Duration { return a.publisher.AgeOf(issuerOf(r, path)) }
}

// noSet returns the problem of a workspace without a set to serve: its set can't be read, or it does not exist.
func (a *api) noSet(workspace string) *Problem {
	if a.publisher.Unread(workspace) {
		return unavailable(kindNoSet, "The workspace's published set can't be read.")
	}
	if _, ok := a.publisher.Set(workspace); ok { // ?kid= of an unpublished key, whose answer needs the tombstone
		return unavailable(kindNoSet, "The workspace's tombstone can't be read.")
	}
	return newProblem(kindNotFound, "There is no such workspace.")
}
