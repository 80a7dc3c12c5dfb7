package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"golang.org/x/oauth2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// identity is whom a provider named. One without a role may not log in.
type identity authz.Login

// email is a claim that anybody may have written, unless verified says otherwise (OpenID
// Connect Core 1.0 section 5.1).
const email, verified = "email", "email_verified"

// more asks the provider's UserInfo for claims that the ID token lacks. What is signed
// counts more.
func more(ctx context.Context, p *provider, o *store.OIDC, token *oauth2.Token, subject string, claims map[string]any) error {
	if p.Info == "" || !lacks(o, claims) {
		return nil
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if away := (*url.Error)(nil); errors.As(err, &away) {
		return &loginError{badOP, err}
	}
	if err != nil {
		return &loginError{"userinfo", errors.New("the provider does not give it")} // its words may hold the token
	}
	if info.Subject != subject { // OpenID Connect Core 1.0 section 5.3.2
		return &loginError{"userinfo", errors.New("it is about somebody else")}
	}
	further, err := claimsOf(info.Claims)
	if err != nil {
		return &loginError{"userinfo", errors.New("it does not read")}
	}
	for name, value := range further {
		if _, signed := claims[name]; !signed {
			claims[name] = value
		}
	}
	return nil
}

// claimsOf returns claims that a provider sent, once they are known not to be nested too
// deep.
func claimsOf(read func(any) error) (map[string]any, error) {
	var text json.RawMessage
	if err := read(&text); err != nil {
		return nil, err
	}
	if _, deep := jwks.TooDeep(text, jwks.MaxDepth); deep {
		return nil, fmt.Errorf("its claims must not be nested deeper than %d", jwks.MaxDepth)
	}
	claims := make(map[string]any)
	return claims, json.Unmarshal(text, &claims)
}

// lacks reports whether a claim is missing that decides who somebody is.
func lacks(o *store.OIDC, claims map[string]any) bool {
	names := slices.DeleteFunc([]string{o.OwnerClaim, o.OperatorClaim}, func(name string) bool { return name == "" })
	if slices.Contains(names, email) {
		names = append(names, verified)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		_, has := claims[name]
		return !has
	})
}

// read makes an identity of claims: an operator before an owner. In authz.Home there are
// no owners.
func read(w *store.Workspace, subject string, claims map[string]any) (identity, error) {
	o, who := w.Portal.OIDC, identity{Subject: subject}
	address, _ := claims[email].(string)
	if claims[verified] != true && claims[verified] != "true" { // some write it as text
		delete(claims, email)
	} else if address != "" {
		who.Subject = address
	}
	if o.OperatorClaim != "" && says(claims[o.OperatorClaim], o.OperatorValue) {
		who.Role = store.RoleOperator
		return who, nil
	}
	if w.ID == authz.Home {
		return who, &loginError{noStaff, fmt.Errorf("the claim %s does not make an operator, or is not verified", o.OperatorClaim)}
	}
	owner, _ := claims[o.OwnerClaim].(string)
	if owner == "" {
		return who, &loginError{noOwner, fmt.Errorf("there is no text in the claim %s, or it is not verified", o.OwnerClaim)}
	}
	who.Role, who.Owner = store.RoleOwner, owner
	return who, nil
}

// says reports whether a claim is a value or a list with it.
func says(claim any, value string) bool {
	switch claim := claim.(type) {
	case string:
		return claim == value
	case []any:
		return slices.Contains(claim, any(value))
	}
	return false
}
