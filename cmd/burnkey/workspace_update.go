package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
)

func workspaceUpdateCommand(k *calls) *cobra.Command {
	settings := workspaceSettings()
	var inherit []string
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a workspace, its policy and its portal",
		Long: "Change the settings for which flags are given; existing keys stay as they are. An empty value, such as\n" +
			"--webhook '', resets a setting to its default; an empty --oidc-issuer ends login by OpenID Connect. A flag that\n" +
			"may be repeated replaces the whole list.",
		Example: "  burnkey workspace update acme --scope 'maps:read=Look at maps' --scope maps:write --max-expires-in 365d\n" +
			"  burnkey workspace update acme --display-name 'Acme Maps' --accent '#0a7b3c' --logo logo.png",
		Args: oneArg("the id of a workspace"),
		RunE: show(k, workspaceRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.Workspace, error) {
			patch, err := patchOf(settings)
			if len(inherit) > 0 {
				patch, err = inheriting(settings, inherit)
			}
			if err != nil {
				return nil, err
			}
			return c.UpdateWorkspace(cmd.Context(), args[0], patch)
		}),
	}
	settingFlags(cmd, settings)
	cmd.Flags().StringSliceVar(&inherit, "inherit", nil,
		"part that an environment has from its first workspace again: policy or portal; may be repeated")
	choices(cmd, "inherit", "policy", "portal")
	return cmd
}

// inheriting returns a patch with the given settings and with parts that are inherited again.
func inheriting(settings []*setting, parts []string) (client.Patch, error) {
	patch := client.Patch{}
	if slices.ContainsFunc(settings, func(s *setting) bool { return s.given }) {
		var err error
		if patch, err = patchOf(settings); err != nil {
			return nil, err
		}
	}
	for _, part := range parts {
		if part != "policy" && part != "portal" {
			return nil, fmt.Errorf("--inherit: must be policy or portal")
		}
		if _, also := patch[part]; also {
			return nil, fmt.Errorf("--inherit: %s must be either inherited or changed", part)
		}
		patch[part] = nil
	}
	return patch, nil
}

func settingFlags(cmd *cobra.Command, settings []*setting) {
	for _, s := range settings {
		if cmd.Flags().Var(s, s.name, s.usage); s.kind.name == "bool" {
			cmd.Flags().Lookup(s.name).NoOptDefVal = "true"
		}
	}
}

// setting is a flag that changes a member of a workspace or key.
type setting struct {
	name, member string
	kind         settingKind
	usage        string

	text  string
	value any // nil resets
	given bool
}

type settingKind struct {
	name string
	// read parses text, which is not empty. If the flag is repeated, before is its previous value; otherwise
	// nil.
	read func(text string, before any) (any, error)
}

// Set, String and Type implement pflag.Value.
func (s *setting) Set(text string) (err error) {
	s.given, s.text = true, text
	if text == "" {
		s.value = nil
		return nil
	}
	s.value, err = s.kind.read(text, s.value)
	return err
}

func (s *setting) String() string { return s.text }

// Type is the placeholder in the help text.
func (s *setting) Type() string { return s.kind.name }

func workspaceSettings() (settings []*setting) {
	text, list, boolean := settingKind{"string", asText}, settingKind{"stringSlice", asList}, settingKind{"bool", asBool}
	number, seconds := settingKind{"int", asInt}, settingKind{"DURATION", asSeconds}
	scopes, logo := settingKind{"stringArray", asScopes}, settingKind{"FILE", asLogo}
	add := func(name, member string, kind settingKind, usage string) {
		settings = append(settings, &setting{name: name, member: member, kind: kind, usage: usage})
	}
	add("name", "name", text, "name to show to people (default the id)")
	add("environment", "environment", text, "name of the environment that it is, such as test (default live)")
	add("audience", "audiences", list, "audience that its keys may have; may be repeated (default the id)")
	add("allow-never-expires", "allow_never_expires", boolean, "whether keys without exp may be issued (default true)")

	add("token-prefix", "token_prefix", text, "`PREFIX` of its tokens from now on, such as acme-live-; cannot be changed")
	add("bare-tokens-until", "bare_tokens_until", settingKind{"TIME", asTime},
		"end of the time in which tokens without the prefix are accepted, too: 2026-01-31T12:00:00Z or 2026-01-31; '': they are not")

	add("scope", "policy.scopes", scopes, "`NAME[=DESCRIPTION]` of a scope that keys may have; may be repeated (default any)")
	add("max-expires-in", "policy.max_expires_in", seconds, "longest lifetime of a key: 3600, 90m, 720h or 30d (default ten years)")
	add("default-expires-in", "policy.default_expires_in", seconds, "default lifetime of a key: 3600, 90m, 720h or 30d (default 90d)")
	add("portal-never-expires", "policy.portal_never_expires", boolean, "whether owners may create keys in the portal that never expire")
	add("keys-per-owner", "policy.keys_per_owner", number, "active keys that one owner may have; 0: any number")
	add("expiry", "policy.expiry", text,
		"`FORM` of expiry: claim (default: exp is signed) or publication (the JWK leaves the set at its time)")
	add("token-type", "policy.token_type", text,
		"`TYPE` of the tokens of its keys: JWT (default) or at+jwt (RFC 9068 access tokens, which always expire)")
	add("default-audience", "policy.default_audience", list, "audience of keys issued without one; may be repeated (default all audiences)")
	add("exchange", "policy.exchange.enabled", boolean, "whether keys can be exchanged for access tokens (default false)")
	add("exchange-max-expires-in", "policy.exchange.max_expires_in", seconds, "longest lifetime of an access token: 1m to 1h (default 1h)")
	add("exchange-max-cache-age", "policy.exchange.max_cache_age", seconds,
		"how long clients may cache the published set, 5s to 1h: a new signing key is not used before that (default 1m)")
	add("exchange-per-minute", "policy.exchange.per_minute", number, "access tokens that a key gets from one server in a minute (default 600)")
	add("webhook", "policy.webhook", text, "https `URL` that receives a message before a key expires")

	add("display-name", "portal.display_name", text, "name that customers see (default the workspace's)")
	add("base-url", "portal.base_url", text, "`URL` of your API, for the example on the page")
	add("accent", "portal.accent", text, "`COLOUR` of the page, such as #0a7b3c")
	add("logo", "portal.logo", logo, "`FILE` with a PNG picture of at most 64 KiB")
	add("frame-ancestor", "portal.frame_ancestors", list, "`ORIGIN` whose pages may embed the page; may be repeated")

	add("oidc-issuer", "portal.oidc.issuer", text, "`URL` of the OpenID provider for logins")
	add("oidc-client-id", "portal.oidc.client_id", text, "client id at that provider")
	add("oidc-owner-claim", "portal.oidc.owner_claim", text, "`CLAIM` that names the owner")
	add("oidc-operator-claim", "portal.oidc.operator_claim", text, "`CLAIM` that makes an operator")
	add("oidc-operator-value", "portal.oidc.operator_value", text, "what that claim must be or contain")
	return settings
}

func asText(text string, _ any) (any, error) { return text, nil }

func asList(text string, before any) (any, error) {
	list, _ := before.([]string)
	return append(list, strings.Split(text, ",")...), nil
}

func asBool(text string, _ any) (any, error) { return strconv.ParseBool(text) }

func asInt(text string, _ any) (any, error) { return strconv.Atoi(text) }

func asSeconds(text string, _ any) (any, error) {
	var s span
	err := s.Set(text)
	return int64(s.value / time.Second), err
}

func asScopes(text string, before any) (any, error) {
	scopes, _ := before.([]client.OfferedScope)
	name, description, _ := strings.Cut(text, "=")
	return append(scopes, client.OfferedScope{Name: name, Description: description}), nil
}

func asLogo(file string, _ any) (any, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > authz.MaxLogo {
		return nil, fmt.Errorf("%s: must be at most %d bytes", file, authz.MaxLogo)
	}
	return os.ReadFile(file)
}

// patchOf returns a patch with the given settings.
func patchOf(settings []*setting) (client.Patch, error) {
	const issuer, oidc = "portal.oidc.issuer", "portal.oidc"
	patch, ends, others := client.Patch{}, false, false
	for _, s := range settings {
		if !s.given {
			continue
		}
		if s.member == issuer && s.value == nil {
			ends = true
			continue
		}
		others = others || strings.HasPrefix(s.member, oidc+".")
		put(patch, s.member, s.value)
	}
	switch {
	case ends && others:
		return nil, errors.New("--oidc-issuer: an empty value, which ends login by OpenID Connect, cannot be used with other --oidc flags")
	case ends:
		put(patch, oidc, nil)
	case len(patch) == 0:
		return nil, errors.New("nothing to change: no setting is given")
	}
	return patch, nil
}

// put sets a member of a patch. Dots in its place separate nested members.
func put(in client.Patch, place string, value any) {
	outer, inner, nested := strings.Cut(place, ".")
	if !nested {
		in[outer] = value
		return
	}
	part, ok := in[outer].(client.Patch)
	if !ok {
		part = client.Patch{}
		in[outer] = part
	}
	put(part, inner, value)
}
