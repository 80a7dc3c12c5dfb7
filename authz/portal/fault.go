package portal

import (
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz"
)

// fault is a problem with a field, or with the whole form if Field is empty.
type fault struct{ Field, Text string }

type faults []fault

// of returns the text of a field's first fault, or an empty string.
func (f faults) of(field string) string {
	for _, one := range f {
		if one.Field == field {
			return one.Text
		}
	}
	return ""
}

// fault returns a single fault with the text of a message.
func (v *visit) fault(field, key string, pairs ...any) faults {
	return faults{{field, v.language.Text(key, pairs...)}}
}

// formFields maps the field names in authz's errors to those in the portal's forms.
var formFields = map[string]string{
	"owner": "owner", "name": "name", "scopes": "scopes", "expires_in": "expiry", "never_expires": "expiry", "grace": "grace",
	"suspended_reason": "reason", "expires_at": "expiry", "allowed_ips": "addresses", "plan": "plan", "reason": "reason", "answer": "answer",
	"parent": "parent", "audience": "parent", // the parent's audience
	"description": "description", "limits": "limits", "signed": "signed",
	"policy.scopes": "scopes", "policy.default_expires_in": "default", "policy.max_expires_in": "max",
	"policy.keys_per_owner": "perowner", "policy.default_audience": "audience",
	"portal.display_name": "name", "portal.accent": "accent", "portal.logo": "logo",
}

// faultsOf returns the faults of invalid input, one per field, with the message fault.FIELD.CODE or else
// fault.FIELD.
func (v *visit) faultsOf(input authz.InputError) (bad faults) {
	for _, one := range input {
		if strings.HasPrefix(one.Field, "limits[") { // the form has one field for all rules
			one.Field = "limits"
		}
		field := formFields[one.Field]
		if field == "" {
			return v.fault("", "fault.form")
		}
		if bad.of(field) != "" {
			continue
		}
		key := "fault." + one.Field
		if v.language.Has(key + "." + one.Code) {
			key += "." + one.Code
		}
		bad = append(bad, fault{field, v.language.Text(key, v.argsOf(one)...)})
	}
	return bad
}

// argsOf returns the placeholders of a fault's message: the rule's arguments in readable form, and
// further limits.
func (v *visit) argsOf(f authz.FieldError) []any {
	args := []any{"kib", authz.MaxLogo >> 10, "side", authz.MaxLogoSide, "last", v.language.Day(v.lastDay())}
	for i := 0; i+1 < len(f.Args); i += 2 {
		value := f.Args[i+1]
		if seconds := f.Rule == authz.RuleSecondsOutOfRange || f.Rule == authz.RuleDefaultTooLong; seconds && f.Args[i] == "max" {
			value = v.language.Life(secondsOf(value))
		}
		if at, ok := value.(authz.Instant); ok {
			value = v.language.Moment(at.Time)
		}
		args = append(args, f.Args[i], value)
	}
	return args
}

func secondsOf(value any) time.Duration {
	switch n := value.(type) {
	case int:
		return time.Duration(n) * time.Second
	case int64:
		return time.Duration(n) * time.Second
	}
	return 0
}
