package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal"
	"github.com/burnkey/burnkey/jwks"
)

const maxClientSecret = 1024 // characters

// oidcSecrets reads a file in the form secretsForm. It contains the client secrets of workspaces at their
// OpenID providers, each for one issuer. Errors quote only names. An empty path means no secrets.
func oidcSecrets(path string) (map[string]portal.ClientSecret, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("--oidc-secrets: %w", err)
	}
	secrets, err := parseSecrets(text)
	if err != nil {
		err = fmt.Errorf("--oidc-secrets: %s: %w", path, err)
	}
	return secrets, err
}

const secretsForm = `{"acme": {"issuer": "https://login.acme.example", "client_secret": "…"}}`

func parseSecrets(text []byte) (map[string]portal.ClientSecret, error) {
	if _, deep := jwks.TooDeep(text, jwks.MaxDepth); deep {
		return nil, fmt.Errorf("must not be nested deeper than %d levels", jwks.MaxDepth)
	}
	var members map[string]jsontext.Value
	switch err := json.Unmarshal(text, &members); {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return nil, errors.New("invalid JSON: a workspace is named twice")
	case err != nil || members == nil:
		return nil, errors.New("must be one JSON object such as " + secretsForm)
	}
	secrets := make(map[string]portal.ClientSecret, len(members))
	for workspace, value := range members {
		if authz.CheckWorkspaceID("ws", workspace) != nil {
			return nil, fmt.Errorf("%.80q: invalid id of a workspace", workspace)
		}
		secret, err := parseSecret(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", workspace, err)
		}
		secrets[workspace] = secret
	}
	return secrets, nil
}

func parseSecret(text jsontext.Value) (portal.ClientSecret, error) {
	var given struct {
		Issuer string `json:"issuer"`
		Secret string `json:"client_secret"`
	}
	none := portal.ClientSecret{}
	if text.Kind() != '{' || json.Unmarshal(text, &given, json.RejectUnknownMembers(true)) != nil {
		return none, errors.New("must have the members issuer and client_secret only: " + secretsForm)
	}
	u, err := url.Parse(given.Issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(given.Issuer) > authz.MaxURL {
		return none, errors.New("issuer: must be the URL of an OpenID provider, as in portal.oidc.issuer")
	}
	if !plausible(given.Secret) {
		return none, fmt.Errorf("client_secret: must have 1 to %d characters, without control characters and outer spaces", maxClientSecret)
	}
	return portal.ClientSecret{Issuer: given.Issuer, Secret: authz.Secret(given.Secret)}, nil
}

func plausible(secret string) bool {
	n := utf8.RuneCountInString(secret)
	return n > 0 && n <= maxClientSecret && strings.TrimSpace(secret) == secret && !strings.ContainsFunc(secret, unicode.IsControl)
}
