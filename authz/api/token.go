package api

import (
	"cmp"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/jwks"
)

const tokenPath = "/token"

// Grants of the token endpoint, and types of tokens (RFC 8693 section 3).
const (
	grantClient   = "client_credentials"
	grantBearer   = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// AccessToken is the answer of the token endpoint (RFC 6749 section 5.1, RFC 8693 section 2.2.1).
type AccessToken struct {
	AccessToken string `json:"access_token" doc:"A JWT of typ at+jwt (RFC 9068)"`
	TokenType   string `json:"token_type" enum:"Bearer" doc:"Bearer"`
	ExpiresIn   int64  `json:"expires_in" doc:"Seconds"`
	Scope       string `json:"scope,omitempty" doc:"Scopes, separated by spaces; absent: none"`
	IssuedType  string `json:"issued_token_type,omitempty" doc:"Only for the token-exchange grant"`
}

// OAuthError is the body of an error of the token endpoint (RFC 6749 section 5.2).
type OAuthError struct {
	Code        string `json:"error" enum:"invalid_request,invalid_client,invalid_grant,unsupported_grant_type,invalid_scope,invalid_target"`
	Description string `json:"error_description" doc:"The broken rule in words"`
	basic       bool   // the status is 401
}

func (e *OAuthError) Error() string { return e.Description }

func invalidRequest(description string) *OAuthError {
	return &OAuthError{Code: "invalid_request", Description: description}
}

// tokenEndpoint exchanges a key for an access token.
func (a *api) tokenEndpoint(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	asked, err := readExchange(c.Request())
	var done authz.Exchanged
	if err == nil {
		done, err = a.service.Exchange(c.Request().Context(), c.Param("ws"), asked.ExchangeRequest)
	}
	if err != nil {
		return a.exchangeFailed(c, asked.grant, err)
	}
	answer := AccessToken{
		AccessToken: done.Token.Reveal(), TokenType: "Bearer", ExpiresIn: done.ExpiresIn, Scope: strings.Join(done.Scopes, " "),
	}
	if asked.grant == grantExchange {
		answer.IssuedType = typeAccessToken
	}
	return c.JSON(http.StatusOK, answer)
}

// exchangeFailed answers with an OAuth error, or returns a problem for any other error.
func (a *api) exchangeFailed(c echo.Context, grant string, err error) error {
	var (
		refused *authz.ExchangeError
		failed  *OAuthError
		busy    *authz.ExchangeBusyError
		unready *authz.NotReadyError
	)
	if errors.As(err, &refused) {
		failed = ofRefused(grant, refused)
	}
	switch {
	case failed != nil || errors.As(err, &failed):
		status := http.StatusBadRequest
		if failed.basic {
			status = http.StatusUnauthorized
			c.Response().Header().Set("WWW-Authenticate", basicChallenge)
		}
		return c.JSON(status, failed)
	case errors.Is(err, authz.ErrNoExchange):
		return newProblem(kindNotFound, "There is no such workspace, or it does not exchange keys.")
	case errors.As(err, &busy) && busy.Limit:
		return overQuota("This key was exchanged too often.", busy.After)
	case errors.As(err, &busy):
		return newProblem(kindExchanges, "Too many exchanges are in progress.").with("Retry-After", wholeSeconds(busy.After))
	case errors.As(err, &unready):
		return newProblem(kindNoSigner, "No signing key is usable yet: a new one is published ahead of its use.").
			with("Retry-After", wholeSeconds(unready.After))
	}
	return err
}

// ofRefused returns the error code of the RFC that defines the grant.
func ofRefused(grant string, e *authz.ExchangeError) *OAuthError {
	switch {
	case e.Part == authz.PartScope:
		return &OAuthError{Code: "invalid_scope", Description: e.Detail}
	case e.Part == authz.PartAudience:
		return &OAuthError{Code: "invalid_target", Description: e.Detail}
	case e.Part == authz.PartKey && grant == grantClient:
		return &OAuthError{Code: "invalid_client", Description: e.Detail, basic: true}
	case e.Part == authz.PartKey && grant == grantBearer:
		return &OAuthError{Code: "invalid_grant", Description: e.Detail}
	}
	return invalidRequest(e.Detail) // RFC 8693 section 2.2.2: also for an invalid subject_token
}

type exchangeForm struct {
	authz.ExchangeRequest
	grant string
	form  url.Values
	err   error // the first
}

func readExchange(r *http.Request) (f *exchangeForm, err error) {
	f = &exchangeForm{}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return f, newProblem(kindMediaType, "The body must be application/x-www-form-urlencoded.").
			field("Content-Type", "must be application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" { // logs have it
		return f, invalidRequest("Parameters must be in the body, not in the URL.")
	}
	if err := r.ParseForm(); err != nil {
		return f, invalidRequest("The body is not a form.")
	}
	f.form = r.PostForm
	f.From, _ = netip.ParseAddr(clientaddr.Of(r.RemoteAddr)) // the zero address may use only keys without networks
	f.grant = f.one("grant_type")
	f.narrow()
	f.credentials(r)
	return f, f.err
}

// one returns a parameter that must not be repeated. Without a value, it counts as omitted (RFC 6749 section 3.2).
func (f *exchangeForm) one(name string) string {
	values := f.form[name]
	if len(values) > 1 {
		f.fail(invalidRequest("The parameter " + name + " must not be repeated."))
	}
	return strings.Join(values[:min(1, len(values))], "")
}

func (f *exchangeForm) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// narrow reads the scopes, the audience and the lifetime that are requested.
func (f *exchangeForm) narrow() {
	if scope := f.one("scope"); scope != "" {
		f.Scopes = strings.Split(scope, " ")
	}
	for _, name := range []string{"audience", "resource"} { // RFC 8693 and RFC 8707 let both be repeated
		for _, value := range f.form[name] {
			if value != "" {
				f.Audience = append(f.Audience, value)
			}
		}
	}
	if text := f.one("expires_in"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			f.fail(invalidRequest(fmt.Sprintf("expires_in must be a number of seconds, at least %d.", authz.MinTokenLife)))
		}
		f.ExpiresIn = cmp.Or(seconds, -1) // 0 would mean the default; a negative number is refused
	}
}

// credentials reads the key, which must be sent in one way only.
func (f *exchangeForm) credentials(r *http.Request) {
	clientID, secret := f.one("client_id"), f.one("client_secret")
	if clientID != "" {
		f.ClientID = []string{clientID}
	}
	var sent []string
	if secret != "" {
		sent = append(sent, secret)
	}
	for _, header := range r.Header.Values("Authorization") {
		sent = append(sent, f.authorization(header, clientID))
	}
	switch f.grant {
	case grantClient:
	case grantBearer:
		sent = append(sent, f.instead("assertion", sent))
	case grantExchange:
		sent = append(sent, f.instead("subject_token", sent))
		f.exchanged()
	case "":
		f.fail(invalidRequest("grant_type is required."))
	default:
		f.fail(&OAuthError{Code: "unsupported_grant_type", Description: "grant_type must be " +
			grantClient + ", " + grantBearer + " or " + grantExchange + "."})
	}
	switch {
	case len(sent) > 1:
		f.fail(invalidRequest("The key must be sent in one way only."))
	case len(sent) == 0 || sent[0] == "":
		f.fail(&OAuthError{Code: "invalid_client", Description: "The key is missing: send it as client_secret.", basic: true})
	default:
		f.Key = jwks.Token(sent[0])
	}
}

// instead returns the key of a grant that sends it in a parameter of its own.
func (f *exchangeForm) instead(name string, sent []string) string {
	key := f.one(name)
	if key == "" {
		f.fail(invalidRequest("The parameter " + name + " is required."))
	}
	if len(sent) > 0 {
		f.fail(invalidRequest("The key must be sent as " + name + " only, without client_secret and without Authorization."))
	}
	return key
}

// authorization returns the key in a header.
func (f *exchangeForm) authorization(header, clientID string) string {
	if token, no := jwks.BearerToken(header); no == nil {
		return token
	}
	id, secret, ok := basicCredentials(header)
	if !ok {
		f.fail(&OAuthError{Code: "invalid_client", Description: "Authorization must be Basic or Bearer.", basic: true})
		return ""
	}
	raw, _, _ := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
	forms := []string{raw, id} // some clients encode it as a form does, some don't
	switch {
	case clientID != "" && !slices.Contains(forms, clientID):
		f.fail(invalidRequest("client_id must be the same in the body and in Authorization."))
	case id != "":
		f.ClientID = forms
	}
	return secret
}

// exchanged reads the parameters that only RFC 8693 has.
func (f *exchangeForm) exchanged() {
	types := []string{typeAccessToken, typeJWT}
	if !slices.Contains(types, f.one("subject_token_type")) {
		f.fail(invalidRequest("subject_token_type must be " + typeAccessToken + " or " + typeJWT + "."))
	}
	if requested := f.one("requested_token_type"); requested != "" && !slices.Contains(types, requested) {
		f.fail(invalidRequest("requested_token_type must be " + typeAccessToken + " or " + typeJWT + "."))
	}
	actor, kind := f.one("actor_token"), f.one("actor_token_type")
	if (actor == "") != (kind == "") || kind != "" && !slices.Contains(types, kind) {
		f.fail(invalidRequest("actor_token and actor_token_type must be given together; the types are those of subject_token_type."))
	}
	f.Actor = jwks.Token(actor)
}

// exchangeBody describes the form.
func exchangeBody(op *huma.Operation) {
	text := func(description string, values ...any) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description, Enum: values}
	}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/x-www-form-urlencoded": {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"grant_type"}, Properties: map[string]*huma.Schema{
				"grant_type":           text("How the key is sent", grantClient, grantBearer, grantExchange),
				"client_id":            text("The owner of the key, or the key's id; optional"),
				"client_secret":        text("client_credentials: the key, unless Authorization has it (Basic as password, or Bearer)"),
				"assertion":            text("jwt-bearer: the key"),
				"subject_token":        text("token-exchange: the key"),
				"subject_token_type":   text("token-exchange: the type of subject_token", typeAccessToken, typeJWT),
				"requested_token_type": text("token-exchange: the type of the answer", typeAccessToken, typeJWT),
				"actor_token":          text("token-exchange: a key of the party that acts for the owner; the access token has its owner as act"),
				"actor_token_type":     text("token-exchange: the type of actor_token", typeAccessToken, typeJWT),
				"scope":                text("Some of the key's scopes, separated by spaces; default all"),
				"audience":             text("One of the key's audiences; may be repeated; default all"),
				"resource":             text("The same as audience"),
				"expires_in":           text("Seconds from 60 to the workspace's maximum; default 600"),
			},
		}},
	}}
}
