package authz

import "github.com/burnkey/burnkey/jwks"

// settings checks changed settings of a workspace. A prefix stays: for each other one, there would be one more form of
// tokens, and the server does not know which form a key has.
func (e *InputError) settings(workspace string, old, now jwks.Settings) {
	switch {
	case old.TokenPrefix != "" && now.TokenPrefix != old.TokenPrefix:
		e.Add("token_prefix", RulePrefixSet, "value", old.TokenPrefix)
	case now.TokenPrefix != "" && workspace == Home:
		e.Add("token_prefix", RuleNoHomePrefix, "workspace", Home)
	case now.TokenPrefix != "" && !jwks.IsPrefix(now.TokenPrefix):
		e.Add("token_prefix", RuleTokenPrefix)
	}
	until := now.BareUntil
	if until.IsZero() {
		return
	}
	if now.TokenPrefix == "" {
		e.Add("bare_tokens_until", RulePrefixless)
	}
	if year := until.Year(); year < minYear || year > maxYear {
		e.Add("bare_tokens_until", RuleYearOutOfRange, "min", minYear, "max", maxYear)
	}
}
