package api

import (
	"context"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
)

const (
	introspectPath = "/introspect"
	introspectID   = "introspect-token"
)

// Introspected is the answer about a token (RFC 7662 section 2.2). If the token is not active, there is only Active.
type Introspected struct {
	Active     bool     `json:"active" doc:"Whether the token is valid now. The caller checks scope, aud and allowed_ips"`
	Scope      string   `json:"scope,omitempty" doc:"Scopes, separated by spaces, as they are now"`
	ClientID   string   `json:"client_id,omitempty" doc:"The owner of the key"`
	TokenType  string   `json:"token_type,omitempty" doc:"Bearer"`
	Expiry     int64    `json:"exp,omitempty" doc:"Time of expiry in seconds since 1970; absent: never"`
	IssuedAt   int64    `json:"iat,omitempty" doc:"Time of issue in seconds since 1970"`
	Subject    string   `json:"sub,omitempty" doc:"The owner of the key"`
	Audience   []string `json:"aud,omitempty" nullable:"false" doc:"Audiences"`
	Issuer     string   `json:"iss,omitempty" doc:"The issuer"`
	ID         string   `json:"jti,omitempty" doc:"The id of the token"`
	KeyID      string   `json:"key_id,omitempty" format:"uuid" doc:"The id of the key"`
	Act        *Acting  `json:"act,omitempty"`
	AllowedIPs []string `json:"allowed_ips,omitempty" nullable:"false" doc:"Networks from which the token may be used; absent: any"`
}

// Acting is the party that acts for the owner of an access token.
type Acting struct {
	Subject string `json:"sub" doc:"The owner of the actor's key"`
	KeyID   string `json:"key_id" format:"uuid" doc:"The id of the actor's key"`
}

func (a *api) introspection(h huma.API) {
	const path = jwks.IssuerPath + "{ws}" + introspectPath
	register(a, h, call{
		id: introspectID, route: "POST " + path, summary: "Introspect a token (RFC 7662)",
		scopes: []string{authz.ScopeKeysRead, authz.ScopeGateway}, basic: true,
	}, body(a.introspect))
	h.OpenAPI().Paths[path].Post.RequestBody = tokenForm("The token, with or without the prefix of the workspace")
}

func (a *api) introspect(ctx context.Context, in *struct {
	WSPath
	RawBody []byte `contentType:"application/x-www-form-urlencoded"`
},
) (Introspected, error) {
	form, err := url.ParseQuery(string(in.RawBody))
	if err != nil {
		return Introspected{}, notForm()
	}
	token, err := onlyToken(form)
	if err != nil {
		return Introspected{}, err
	}
	found, err := a.service.Introspect(ctx, in.WS, jwks.Token(token))
	if err != nil || found == nil {
		return Introspected{}, err
	}
	k := &found.Key
	shown := Introspected{
		Active: true, Scope: found.Scope(), ClientID: k.Owner, TokenType: "Bearer", IssuedAt: found.Claims.IssuedAt,
		Subject: k.Owner, Audience: found.Claims.Audience, Issuer: found.Claims.Issuer, ID: found.Claims.ID, KeyID: k.ID.String(),
	}
	if end := found.ExpiresAt(); !end.IsZero() {
		shown.Expiry = end.Unix()
	}
	if actor := found.Actor(); actor != nil {
		shown.Act = &Acting{actor.Subject, actor.KeyID}
	}
	for _, network := range k.AllowedIPs {
		shown.AllowedIPs = append(shown.AllowedIPs, network.String())
	}
	return shown, nil
}

func notForm() *Problem {
	return oauthProblem(kindMalformed, "The body is not a form.").field("body", "must be a form")
}

// onlyToken returns the field token of a form.
func onlyToken(form url.Values) (string, error) {
	tokens := form["token"]
	if len(tokens) != 1 || tokens[0] == "" {
		return "", oauthProblem(kindMalformed, "The form must have one field token.").field("token", "is required, once")
	}
	return tokens[0], nil
}

// tokenForm describes a form with a token.
func tokenForm(description string) *huma.RequestBody {
	token := &huma.Schema{Type: huma.TypeString, MinLength: new(1), Description: description}
	hint := &huma.Schema{Type: huma.TypeString, Description: "Ignored: the token itself says what it is"}
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/x-www-form-urlencoded": {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"token"},
			Properties: map[string]*huma.Schema{"token": token, "token_type_hint": hint},
		}},
	}}
}
