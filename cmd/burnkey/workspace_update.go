package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
)

func workspaceUpdateCommand(r *remote, out *output) *cobra.Command {
	settings := workspaceSettings()
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a workspace, its policy and its portal",
		Long: "Change the settings of a workspace that flags are given for; existing keys stay as they are. An empty value, such\n" +
			"as --webhook '', resets to the default, and an empty --oidc-issuer ends login by OpenID Connect. A flag that may\n" +
			"be repeated replaces the former list.",
		Example: "  burnkey workspace update acme --scope 'maps:read=Look at maps' --scope maps:write --max-expires-in 365d\n" +
			"  burnkey workspace update acme --display-name 'Acme Maps' --accent '#0a7b3c' --logo logo.png",
		Args: oneArg("the id of a workspace"),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			patch, err := patchOf(settings)
			if err != nil {
				return err
			}
			w, err := c.UpdateWorkspace(cmd.Context(), args[0], patch)
			if err != nil {
				return err
			}
			return out.show(cmd, w.Raw.Reveal(), workspaceRows(w))
		}),
	}
	for _, s := range settings {
		if cmd.Flags().Var(s, s.flag, s.usage); s.kind == "bool" {
			cmd.Flags().Lookup(s.flag).NoOptDefVal = "true"
		}
	}
	return cmd
}

// setting is a flag for a member of a workspace.
type setting struct {
	flag, member, kind, usage string
	// read returns the value for a text, which is not empty. before is the value if the flag is repeated.
	read func(text string, before any) (any, error)

	text  string
	value any // null resets
	given bool
}

// Set, String and Type implement pflag.Value.
func (s *setting) Set(text string) (err error) {
	s.given, s.text = true, text
	if text == "" {
		s.value = nil
		return nil
	}
	s.value, err = s.read(text, s.value)
	return err
}

func (s *setting) String() string { return s.text }

// Type is the placeholder in the help text.
func (s *setting) Type() string { return s.kind }

func workspaceSettings() []*setting {
	return []*setting{
		{flag: "name", member: "name", kind: "string", read: asText, usage: "name for people (default the id)"},
		{flag: "audience", member: "audiences", kind: "stringSlice", read: asList, usage: "aud of its keys; may be repeated (default the id)"},
		{flag: "allow-never-expires", member: "allow_never_expires", kind: "bool", read: asBool, usage: "whether keys without exp may be issued (default true)"},

		{flag: "scope", member: "policy.scopes", kind: "stringArray", read: asScopes, usage: "`NAME[=DESCRIPTION]` of a scope that keys may have; may be repeated (default any)"},
		{flag: "max-expires-in", member: "policy.max_expires_in", kind: "DURATION", read: asSeconds, usage: "longest lifetime of a key: 3600, 90m, 720h or 30d (default ten years)"},
		{flag: "default-expires-in", member: "policy.default_expires_in", kind: "DURATION", read: asSeconds, usage: "lifetime of a key if its issuer gives none: 3600, 90m, 720h or 30d (default 90d)"},
		{
			flag: "portal-never-expires", member: "policy.portal_never_expires", kind: "bool", read: asBool,
			usage: "whether owners may create keys that never expire in the portal (default false)",
		},
		{flag: "keys-per-owner", member: "policy.keys_per_owner", kind: "int", read: asInt, usage: "active keys that one owner may have; 0: any number"},
		{flag: "default-audience", member: "policy.default_audience", kind: "stringSlice", read: asList, usage: "aud of keys issued without one; may be repeated (default all of the workspace's)"},
		{
			flag: "webhook", member: "policy.webhook", kind: "string", read: asText,
			usage: "https `URL` that receives a message before a key expires",
		},

		{flag: "display-name", member: "portal.display_name", kind: "string", read: asText, usage: "name that customers see (default the workspace's)"},
		{flag: "base-url", member: "portal.base_url", kind: "string", read: asText, usage: "`URL` of the API that the keys are for, for an example"},
		{flag: "accent", member: "portal.accent", kind: "string", read: asText, usage: "`COLOUR` of the page, such as #0a7b3c"},
		{flag: "logo", member: "portal.logo", kind: "FILE", read: asLogo, usage: "`FILE` with a PNG picture of at most 64 KiB"},
		{flag: "frame-ancestor", member: "portal.frame_ancestors", kind: "stringSlice", read: asList, usage: "`ORIGIN` whose pages may embed the page; may be repeated"},

		{flag: "oidc-issuer", member: "portal.oidc.issuer", kind: "string", read: asText, usage: "`URL` of the OpenID provider by which people log in"},
		{flag: "oidc-client-id", member: "portal.oidc.client_id", kind: "string", read: asText, usage: "client id at that provider"},
		{flag: "oidc-owner-claim", member: "portal.oidc.owner_claim", kind: "string", read: asText, usage: "`CLAIM` that names the owner"},
		{flag: "oidc-operator-claim", member: "portal.oidc.operator_claim", kind: "string", read: asText, usage: "`CLAIM` that makes an operator"},
		{flag: "oidc-operator-value", member: "portal.oidc.operator_value", kind: "string", read: asText, usage: "what that claim must be or contain"},
	}
}

func asText(text string, _ any) (any, error) { return text, nil }

func asList(text string, before any) (any, error) {
	list, _ := before.([]string)
	return append(list, strings.Split(text, ",")...), nil
}

func asBool(text string, _ any) (any, error) { return strconv.ParseBool(text) }

func asInt(text string, _ any) (any, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, errors.New("must be a whole number")
	}
	return n, nil
}

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

// patchOf returns the changes that the given settings make.
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

// put sets a member. A dot in its place separates it from the member that it is in.
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
