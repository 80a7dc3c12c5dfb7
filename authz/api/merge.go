package api

import (
	"errors"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// mergePatchType is the media type of RFC 7396.
const mergePatchType = "application/merge-patch+json"

// takesMergePatch documents both media types that a change may have.
func takesMergePatch(op *huma.Operation) {
	op.RequestBody.Content[mergePatchType] = op.RequestBody.Content["application/json"]
}

// keyPatchOf decodes a patch that has already been validated as a KeyPatch. A null becomes the zero value, or
// what the token says.
func keyPatchOf(patch []byte) (p authz.KeyPatch, err error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(patch, &members); err != nil {
		return p, err
	}
	isReset := func(name string) bool { return members[name].Kind() == 'n' }
	p.Metadata, p.SignedExpiry, p.SignedScopes = members["metadata"], isReset("expires_at"), isReset("scopes")
	var never *bool
	var limits *[]Limit
	for name, into := range map[string]func(jsontext.Value) error{
		"name": optionalMember(&p.Name), "enabled": optionalMember(&p.Enabled), "suspended_reason": optionalMember(&p.SuspendedReason),
		"expires_at": optionalMember(&p.ExpiresAt), "never_expires": optionalMember(&never), "scopes": optionalMember(&p.Scopes),
		"allowed_ips": optionalMember(&p.AllowedIPs), "plan": optionalMember(&p.Plan), "limits": optionalMember(&limits),
	} {
		if value, isGiven := members[name]; isGiven {
			err = errors.Join(err, into(value))
		}
	}
	if isReset("enabled") {
		*p.Enabled = true
	}
	if p.SignedExpiry {
		p.ExpiresAt = nil
	}
	if p.SignedScopes {
		p.Scopes = nil
	}
	if limits != nil {
		rules := limitsOf(*limits)
		p.Limits = &rules
	}
	p.NeverExpires = orZero(never)
	return p, err
}

// optionalMember returns a function that decodes a member into a new value. null becomes the zero value.
func optionalMember[T any](into **T) func(jsontext.Value) error {
	return func(value jsontext.Value) error {
		*into = new(T)
		return json.Unmarshal(value, *into, wholeNumbers)
	}
}

// WorkspacePatch is a JSON Merge Patch (RFC 7396) of a workspace's changeable members.
type WorkspacePatch struct {
	Name              *string      `json:"name,omitempty" nullable:"true" minLength:"1" is:"name" doc:"null: the id"`
	Audiences         *[]string    `json:"audiences,omitempty" nullable:"true" minItems:"1" is:"audiences" doc:"null: the id alone"`
	AllowNeverExpires *bool        `json:"allow_never_expires,omitempty" nullable:"true" doc:"null: true"`
	TokenPrefix       *string      `json:"token_prefix,omitempty" nullable:"true" is:"prefix" doc:"Only for a workspace without one"`
	BareTokensUntil   *time.Time   `json:"bare_tokens_until,omitempty" nullable:"true" doc:"Required with a new token_prefix; null: now"`
	Policy            *PolicyPatch `json:"policy,omitempty" doc:"null resets all of it; an environment then inherits it"`
	Portal            *PortalPatch `json:"portal,omitempty" doc:"null resets all of it; an environment then inherits it"`
	Environment       *string      `json:"environment,omitempty" nullable:"true" is:"environment" doc:"null: live"`
}

// A patch of a nested object has the members of that object, any of which can be absent or null.
type (
	PolicyPatch Policy
	PortalPatch Portal
	OIDCPatch   OIDC

	ExchangePatch Exchange
)

// TransformSchema implements huma.SchemaTransformer.
func (*PolicyPatch) TransformSchema(r huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["exchange"].Ref = r.Schema(reflect.TypeFor[ExchangePatch](), true, "").Ref
	return merging(s)
}

// TransformSchema implements huma.SchemaTransformer.
func (*ExchangePatch) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return merging(s)
}

// TransformSchema implements huma.SchemaTransformer.
func (*PortalPatch) TransformSchema(r huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["oidc"].Ref = r.Schema(reflect.TypeFor[OIDCPatch](), true, "").Ref
	return merging(s)
}

// TransformSchema implements huma.SchemaTransformer.
func (*OIDCPatch) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema { return merging(s) }

// merging turns the schema of an object into the schema of a merge patch for it.
func merging(s *huma.Schema) *huma.Schema {
	s.Nullable, s.Required = true, nil
	for _, member := range s.Properties {
		member.Nullable = member.Ref == "" // else the referenced schema says so
	}
	return s
}

// mergeOf applies a patch that was validated as a WorkspacePatch. Reading it into the present values does what RFC
// 7396 section 2 requires: objects are merged, null becomes the zero value, and everything else is replaced.
func mergeOf(patch []byte) func(*store.Workspace) error {
	return func(w *store.Workspace) error {
		policy, portal := PolicyPatch(w.Policy), PortalPatch(w.Portal)
		merged := WorkspacePatch{
			Name: &w.Name, Audiences: &w.Audiences, AllowNeverExpires: &w.AllowNeverExpires, Policy: &policy, Portal: &portal,
			TokenPrefix: &w.Settings.TokenPrefix, BareTokensUntil: &w.Settings.BareUntil, Environment: &w.Environment,
		}
		former := w.Settings.TokenPrefix
		var given struct { // what the workspace does not tell: whether the patch has these members
			BareTokensUntil jsontext.Value `json:"bare_tokens_until"`
			Portal          struct {
				Logo jsontext.Value `json:"logo"`
			} `json:"portal"`
		}
		if err := errors.Join(json.Unmarshal(patch, &merged, wholeNumbers), json.Unmarshal(patch, &given)); err != nil {
			return err
		}
		if merged.Name == nil {
			w.Name = w.ID
		}
		if merged.Audiences == nil {
			w.Audiences = []string{w.ID}
		}
		if merged.AllowNeverExpires == nil {
			w.AllowNeverExpires = true
		}
		if merged.Environment == nil {
			w.Environment = ""
		}
		mergeParts(w, merged)
		w.Settings.TokenPrefix, w.Settings.BareUntil = orZero(merged.TokenPrefix), orZero(merged.BareTokensUntil)
		if former == "" && w.Settings.TokenPrefix != "" && given.BareTokensUntil == nil {
			return authz.Invalid("bare_tokens_until", authz.RuleBareTokens)
		}
		if given.Portal.Logo != nil {
			w.Portal.LogoHash = ""
		}
		return nil
	}
}

// mergeParts stores policy and portal. A part of an environment that is null is inherited.
func mergeParts(w *store.Workspace, merged WorkspacePatch) {
	isEnvironment := w.EnvironmentOf != ""
	inherit := func(part string) {
		if !w.InheritsPart(part) {
			w.Inherits = append(w.Inherits, part)
		}
	}
	if isEnvironment && merged.Policy == nil {
		inherit(store.PartPolicy)
		w.Policy.DefaultAudience = nil
	} else {
		w.Policy = store.Policy(orZero(merged.Policy))
	}
	if isEnvironment && merged.Portal == nil {
		inherit(store.PartPortal)
		w.Portal.BaseURL = ""
	} else {
		w.Portal = store.Portal(orZero(merged.Portal))
	}
}

func orZero[T any](p *T) (zero T) {
	if p == nil {
		return zero
	}
	return *p
}
