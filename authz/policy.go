package authz

import (
	"slices"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Limits of a workspace's policy and portal.
const (
	MaxKeysPerOwner   = 100000
	MaxURL            = 2048     // bytes
	MaxLogo           = 64 << 10 // bytes of PNG
	MaxLogoSide       = 1024     // pixels
	MaxFrameAncestors = 16
)

// policy checks a policy. The parameter local has the same meaning as in portal.
func (e *InputError) policy(w *store.Workspace, local bool) {
	p := &w.Policy
	names := make([]string, len(p.Scopes))
	for i, scope := range p.Scopes {
		names[i] = scope.Name
		e.text("policy.scopes", scope.Description, 0)
	}
	e.scopes("policy.scopes", names)
	if p.MaxExpiresIn < 0 || p.MaxExpiresIn > MaxExpiresIn {
		e.Add("policy.max_expires_in", RuleSecondsOutOfRange, "min", 0, "max", MaxExpiresIn)
	}
	if p.DefaultExpiresIn < 0 || p.DefaultExpiresIn > MaxLife(w) {
		// The error has the default, too, since the request may have changed only the maximum.
		e.Add("policy.default_expires_in", RuleDefaultTooLong, "value", p.DefaultExpiresIn, "max", MaxLife(w))
	}
	if p.KeysPerOwner < 0 || p.KeysPerOwner > MaxKeysPerOwner {
		e.Add("policy.keys_per_owner", RuleOutOfRange, "min", 0, "max", MaxKeysPerOwner)
	}
	e.audiences("policy.default_audience", p.DefaultAudience)
	e.among("policy.default_audience", w, p.DefaultAudience)
	if p.Expiry != "" && p.Expiry != store.ExpiryByPublication {
		e.Add("policy.expiry", RuleNotOneOf, "values", "claim, publication")
	}
	e.tokenType(w)
	if p.Webhook != "" {
		e.remote("policy.webhook", p.Webhook, RuleNotURL, local)
	}
	e.exchange(w)
	if w.ID == Home && p.Expiry != "" {
		e.Add("policy.expiry", RuleManagementKey, "workspace", Home)
	}
	if w.ID == Home && (len(p.Scopes) > 0 || p.MaxExpiresIn > 0 || p.KeysPerOwner > 0) {
		e.Add("policy", RuleLocksOut, "workspace", Home)
	}
}

// tokenType checks the type of tokens. RFC 9068 section 2.2 requires exp.
func (e *InputError) tokenType(w *store.Workspace) {
	p := &w.Policy
	switch {
	case p.TokenType == "":
	case p.TokenType != string(jwks.TypeAccessToken):
		e.Add("policy.token_type", RuleNotOneOf, "values", "JWT, at+jwt")
	case w.ID == Home:
		e.Add("policy.token_type", RuleManagementKey, "workspace", Home)
	case p.Expiry != "":
		e.Add("policy.token_type", RuleAccessTokensExpire)
	}
}

// Limits of an exchange, in seconds and tokens.
const (
	MinTokenLife     = 60
	MaxTokenLife     = 3600 // also the default of policy.exchange.max_expires_in
	DefaultTokenLife = 600
	MinCacheAge      = 5
	MaxCacheAge      = 3600
	DefaultCacheAge  = 60
	DefaultPerMinute = 600
	MaxPerMinute     = 60000
)

// exchange checks the exchange of a policy. Management keys are never exchanged.
func (e *InputError) exchange(w *store.Workspace) {
	x := &w.Policy.Exchange
	outside := func(value, least, most int64) bool { return value != 0 && (value < least || value > most) }
	if outside(x.MaxExpiresIn, MinTokenLife, MaxTokenLife) {
		e.Add("policy.exchange.max_expires_in", RuleSecondsOutOfRange, "min", MinTokenLife, "max", MaxTokenLife)
	}
	if outside(x.MaxCacheAge, MinCacheAge, MaxCacheAge) {
		e.Add("policy.exchange.max_cache_age", RuleSecondsOutOfRange, "min", MinCacheAge, "max", MaxCacheAge)
	}
	if outside(int64(x.PerMinute), 1, MaxPerMinute) {
		e.Add("policy.exchange.per_minute", RuleOutOfRange, "min", 1, "max", MaxPerMinute)
	}
	if w.ID == Home && x.Enabled {
		e.Add("policy.exchange.enabled", RuleManagementKey, "workspace", Home)
	}
}

// MaxLife returns the longest lifetime of a workspace's keys, in seconds.
func MaxLife(w *store.Workspace) int64 {
	if w.Policy.MaxExpiresIn > 0 {
		return w.Policy.MaxExpiresIn
	}
	return MaxExpiresIn
}

// DefaultLife returns the lifetime of keys for which none was requested, in seconds. It is at most MaxLife.
func DefaultLife(w *store.Workspace) int64 {
	if w.Policy.DefaultExpiresIn > 0 {
		return w.Policy.DefaultExpiresIn
	}
	return min(DefaultExpiresIn, MaxLife(w))
}

// MayNeverExpire reports whether a workspace's keys can have no expiry. If there is a maximum, or if they are RFC 9068
// tokens, they can't.
func MayNeverExpire(w *store.Workspace) bool {
	return w.AllowNeverExpires && w.Policy.MaxExpiresIn == 0 && typeOf(w) == jwks.TypeJWT
}

// typeOf returns the type of the tokens of new keys.
func typeOf(w *store.Workspace) jwks.TokenType {
	if w.Policy.TokenType == string(jwks.TypeAccessToken) {
		return jwks.TypeAccessToken
	}
	return jwks.TypeJWT
}

func (e *InputError) refuseNeverExpires(w *store.Workspace) {
	if w.AllowNeverExpires {
		e.Add("never_expires", RuleNeverExpiresLimit, "max", MaxLife(w))
		return
	}
	e.Add("never_expires", RuleNeverExpires)
}

func (e *InputError) expiry(w *store.Workspace, r IssueRequest) int64 {
	switch {
	case r.NeverExpires && r.ExpiresIn != nil:
		e.Add("expires_in", RuleExpiresTwice)
	case r.NeverExpires && !MayNeverExpire(w):
		e.refuseNeverExpires(w)
	case r.NeverExpires:
		return 0
	case r.ExpiresIn == nil:
		return DefaultLife(w)
	case *r.ExpiresIn < 1 || *r.ExpiresIn > MaxLife(w):
		*e = append(*e, lifeError(MaxLife(w))...)
	default:
		return *r.ExpiresIn
	}
	return 0
}

func lifeError(most int64) InputError {
	var bad InputError
	bad.Add("expires_in", RuleSecondsOutOfRange, "min", 1, "max", most)
	return bad
}

// PageMaxExpiresIn is the longest lifetime, in seconds, of a key created in the portal under a policy without a
// maximum: a year, or the policy's default lifetime if that is longer.
const PageMaxExpiresIn = 365 * 86400

// OnPage returns the workspace as an owner sees it in the portal, which offers only what an administrator has
// explicitly allowed: scopes that are in the policy and in the link, or in the only one that lists scopes; a
// lifetime up to MaxLife; and keys that never expire only if the policy allows them in the portal. With a nil
// session, as in the management API, it returns w unchanged.
func OnPage(w *store.Workspace, s *store.Session) *store.Workspace {
	if s == nil {
		return w
	}
	page := *w
	page.Policy = w.Policy.Clone()
	page.Policy.Scopes = scopesOnPage(w, s)
	if page.AllowNeverExpires = MayNeverExpire(w) && w.Policy.PortalNeverExpires; !page.AllowNeverExpires && w.Policy.MaxExpiresIn == 0 {
		page.Policy.MaxExpiresIn = max(PageMaxExpiresIn, w.Policy.DefaultExpiresIn)
	}
	return &page
}

// noScope is the scope "", which no key can have. With an empty list, all scopes would be offered.
var noScope = []store.OfferedScope{{}}

func scopesOnPage(w *store.Workspace, s *store.Session) []store.OfferedScope {
	named := slices.Clone(w.Policy.Scopes)
	switch {
	case s.ScopesAllowed == nil:
	case len(named) > 0:
		named = slices.DeleteFunc(named, func(o store.OfferedScope) bool { return !slices.Contains(s.ScopesAllowed, o.Name) })
	default:
		for _, name := range s.ScopesAllowed {
			named = append(named, store.OfferedScope{Name: name})
		}
	}
	if len(named) == 0 {
		return noScope
	}
	return named
}

// ScopesOffered returns the scopes that keys created in a portal session may have.
func ScopesOffered(w *store.Workspace, s *store.Session) []store.OfferedScope {
	return slices.DeleteFunc(slices.Clone(scopesOnPage(w, s)), func(o store.OfferedScope) bool { return o.Name == "" })
}
