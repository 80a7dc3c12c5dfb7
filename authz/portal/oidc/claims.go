package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Identity is the person whom a provider has identified. Without a Role, the person must not be logged
// in.
type Identity struct {
	Role    string // store.RoleOwner or store.RoleOperator
	Owner   string
	Subject string // the verified email address, or the provider's identifier
}

// The person may have entered any address as the claim email, unless the claim email_verified is true
// (OpenID Connect Core 1.0 section 5.1).
const email, verified = "email", "email_verified"

// claimsOf decodes a provider's claims, unless they are nested too deep. Numbers keep their decimal
// digits: a float64 would round an id of more than 53 bits.
func claimsOf(read func(any) error) (claims map[string]any, err error) {
	var raw json.RawMessage
	if err := read(&raw); err != nil {
		return nil, err
	}
	if _, deep := jwks.TooDeep(raw, jwks.MaxDepth); deep {
		return nil, fmt.Errorf("claims must not be nested deeper than %d levels", jwks.MaxDepth)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	err = decoder.Decode(&claims)
	return claims, err
}

// claimNamed returns the claim with exactly this name, such as "https://acme.example/roles". If there is
// none, the name is a path, such as "realm_access.roles". Since names on the path may contain dots, the
// longest matching name is tried first. Each object is searched at most once.
func claimNamed(claims map[string]any, name string) (any, bool) {
	if value, has := claims[name]; has {
		return value, true
	}
	for end := strings.LastIndexByte(name, '.'); end >= 0; end = strings.LastIndexByte(name[:end], '.') {
		if inner, is := claims[name[:end]].(map[string]any); is {
			if value, has := claimNamed(inner, name[end+1:]); has {
				return value, true
			}
		}
	}
	return nil, false
}

// more adds claims that the ID token lacks from the provider's UserInfo. Signed claims take precedence.
func more(ctx context.Context, p *provider, c *Client, token *oauth2.Token, subject string, claims map[string]any) error {
	wanted := wantedOf(c)
	lacks := func(name string) bool {
		_, has := claimNamed(claims, name)
		return !has
	}
	if p.Info == "" || !slices.ContainsFunc(wanted, lacks) {
		return nil
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if away := (*url.Error)(nil); errors.As(err, &away) {
		return &Error{Reason: BadProvider, Err: err}
	}
	if err != nil {
		return &Error{Reason: "userinfo", Err: errors.New("the provider refused the request")} // its message may contain the token
	}
	if info.Subject != subject { // OpenID Connect Core 1.0 section 5.3.2
		return &Error{Reason: "userinfo", Err: errors.New("its sub is another one")}
	}
	further, err := claimsOf(info.Claims)
	if err != nil {
		return &Error{Reason: "userinfo", Err: errors.New("invalid answer")}
	}
	for _, name := range append(wanted, email, verified) {
		if value, has := claimNamed(further, name); has && lacks(name) {
			claims[name] = value
		}
	}
	return nil
}

// wantedOf returns the names of the claims that identify the person.
func wantedOf(c *Client) []string {
	names := slices.DeleteFunc([]string{c.OwnerClaim, c.OperatorClaim}, func(name string) bool { return name == "" })
	if slices.Contains(names, email) {
		names = append(names, verified)
	}
	return names
}

// read returns the person's identity. An operator's claim takes precedence over an owner's.
func read(c *Client, subject string, claims map[string]any) (Identity, error) {
	who := Identity{Subject: subject}
	address, _ := claims[email].(string)
	if claims[verified] != true && claims[verified] != "true" { // some write it as text
		delete(claims, email)
	} else if address != "" {
		who.Subject = address
	}
	if c.OperatorClaim != "" && says(claims, c.OperatorClaim, c.OperatorValue) {
		who.Role = store.RoleOperator
		return who, nil
	}
	if c.OwnerClaim == "" {
		return who, &Error{Reason: NoOperator, Err: fmt.Errorf("the claim %s does not make an operator, or is not verified", c.OperatorClaim)}
	}
	claim, has := claimNamed(claims, c.OwnerClaim)
	owner, is := textOf(claim)
	if _, yesNo := claim.(bool); !is || owner == "" || yesNo { // true or false would be shared by many people
		return who, &Error{Reason: NoOwner, Err: fmt.Errorf("the claim %s must be text or a whole number, and is %s",
			c.OwnerClaim, kindOf(claim, has))}
	}
	who.Role, who.Owner = store.RoleOwner, owner
	return who, nil
}

// says reports whether a claim is this value, or a list that contains it.
func says(claims map[string]any, name, value string) bool {
	claim, _ := claimNamed(claims, name)
	is := func(one any) bool {
		text, simple := textOf(one)
		return simple && text == value
	}
	if list, many := claim.([]any); many {
		return slices.ContainsFunc(list, is)
	}
	return is(claim)
}

// textOf returns a claim as settings represent it: a string unchanged, a whole number of any length in
// decimal digits, or true or false. Numbers with a fraction or an exponent are refused.
func textOf(claim any) (text string, ok bool) {
	switch claim := claim.(type) {
	case string:
		return claim, true
	case json.Number:
		return claim.String(), claim != "-0" && !strings.ContainsAny(claim.String(), ".eE")
	case bool:
		return fmt.Sprint(claim), true
	}
	return "", false
}

// kindOf describes the type of a claim without revealing its value.
func kindOf(claim any, has bool) string {
	switch claim.(type) {
	case string:
		return "empty"
	case json.Number:
		return "a number with a fraction or an exponent"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object: name the member, as in name.member"
	}
	if has {
		return "null"
	}
	return "missing, or not verified"
}
