package authz

import (
	"bytes"
	"image/png"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

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

// maxExpiresIn is the longest life of a key of a workspace's, in seconds.
func maxExpiresIn(w *store.Workspace) int64 {
	if w.Policy.MaxExpiresIn > 0 {
		return w.Policy.MaxExpiresIn
	}
	return MaxExpiresIn
}

// defaultExpiresIn is the life of a key that asks for none, in seconds.
func defaultExpiresIn(w *store.Workspace) int64 {
	if w.Policy.DefaultExpiresIn > 0 {
		return w.Policy.DefaultExpiresIn
	}
	return min(DefaultExpiresIn, maxExpiresIn(w))
}

// MayNeverExpire reports whether a workspace's keys may have no end. Where it sets a
// maximum they may not: that would be a way around it.
func MayNeverExpire(w *store.Workspace) bool {
	return w.AllowNeverExpires && w.Policy.MaxExpiresIn == 0
}

func (e *InputError) refuseNeverExpires(w *store.Workspace) {
	if w.AllowNeverExpires {
		e.Add("never_expires", RuleNeverExpiresLimit, "max", maxExpiresIn(w))
		return
	}
	e.Add("never_expires", RuleNeverExpires)
}

// OffersScope reports whether a workspace's keys may have a scope.
func OffersScope(w *store.Workspace, scope string) bool {
	return len(w.Policy.Scopes) == 0 || slices.ContainsFunc(w.Policy.Scopes, func(o store.OfferedScope) bool { return o.Name == scope })
}

func (e *InputError) offered(field string, w *store.Workspace, scopes []string) {
	for _, scope := range scopes {
		if !OffersScope(w, scope) {
			e.Add(field, RuleScopeNotOffered)
			return
		}
	}
}

// policy holds what is set against the limits, and against itself. Local is as of
// portal.
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
	if p.DefaultExpiresIn < 0 || p.DefaultExpiresIn > maxExpiresIn(w) {
		// It may be the maximum that was changed: then this is what is there.
		e.Add("policy.default_expires_in", RuleDefaultTooLong, "value", p.DefaultExpiresIn, "max", maxExpiresIn(w))
	}
	if p.KeysPerOwner < 0 || p.KeysPerOwner > MaxKeysPerOwner {
		e.Add("policy.keys_per_owner", RuleOutOfRange, "min", 0, "max", MaxKeysPerOwner)
	}
	e.audiences("policy.default_audience", p.DefaultAudience)
	for _, aud := range p.DefaultAudience {
		if !slices.Contains(w.Audiences, aud) {
			e.Add("policy.default_audience", RuleUnknownAudience)
			break
		}
	}
	if p.Webhook != "" {
		e.remote("policy.webhook", p.Webhook, local)
	}
	if w.ID == Home && (len(p.Scopes) > 0 || p.MaxExpiresIn > 0 || p.KeysPerOwner > 0) {
		e.Add("policy", RuleLocksOut, "workspace", Home)
	}
}

var accent = regexp.MustCompile(`^#[0-9a-f]{6}$`)

// portal holds what customers are shown, and who may show it, against the limits. Local
// says that the server itself is reached on this machine alone.
func (e *InputError) portal(w *store.Workspace, local bool) {
	p := &w.Portal
	e.text("portal.display_name", p.DisplayName, 0)
	if p.BaseURL != "" {
		e.webURL("portal.base_url", p.BaseURL)
	}
	if p.Accent != "" && !accent.MatchString(p.Accent) {
		e.Add("portal.accent", RuleNotColor)
	}
	if len(p.Logo) > 0 {
		e.logo("portal.logo", p.Logo)
	}
	e.list("portal.frame_ancestors", p.FrameAncestors, MaxFrameAncestors, func(origin string) {
		e.origin("portal.frame_ancestors", origin)
	})
	if o := p.OIDC; o != nil {
		e.oidc(o, local)
		e.claimed(o, w.ID == Home)
	}
}

func (e *InputError) logo(field string, logo []byte) {
	config, err := png.DecodeConfig(bytes.NewReader(logo))
	switch {
	case len(logo) > MaxLogo:
		e.Add(field, RuleTooLarge, "max", MaxLogo)
	case err != nil:
		e.Add(field, RuleNotPNG)
	case config.Width > MaxLogoSide || config.Height > MaxLogoSide:
		e.Add(field, RulePictureTooLarge, "max", MaxLogoSide)
	}
}

// webURL is an absolute URL of the web without a user, and so without a password.
func (e *InputError) webURL(field, text string) {
	u, err := url.Parse(text)
	if err != nil || len(text) > MaxURL || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(text, " \t\r\n\"'<>\\") {
		e.Add(field, RuleNotWebURL, "max", MaxURL)
	} else if !isPlainURL(u, text) {
		e.Add(field, RuleNotPlainURL)
	}
}

// origin is a scheme, a host and perhaps a port (RFC 6454 section 6.2), as a list of
// frame-ancestors has them: a wildcard or a separator would let in others.
func (e *InputError) origin(field, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ToLower(u.Scheme+"://"+u.Host) != text || strings.ContainsAny(u.Host, "*;, ") {
		e.Add(field, RuleNotOrigin)
	}
}

// remote is the URL of something that the server itself calls. In the clear it takes what is on
// this machine, and only where the server is reached there, too: from elsewhere it would be a way
// to what listens here.
func (e *InputError) remote(field, text string, local bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Fragment != "" || u.User != nil || len(text) > MaxURL:
		e.Add(field, RuleNotURL, "max", MaxURL)
	case !isPlainURL(u, text):
		e.Add(field, RuleNotPlainURL)
	case u.Scheme != "https" && !(local && u.Scheme == "http" && isLoopback(u.Hostname())):
		e.Add(field, RuleNotHTTPS)
	}
}

// isPlainURL reports whether a URL is valid and people see all of it when they read it.
func isPlainURL(u *url.URL, text string) bool {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return (u.Port() == "" || err == nil && port > 0) &&
		!strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || NoOwner(r) })
}

// oidc takes a provider on this machine as remote does.
func (e *InputError) oidc(o *store.OIDC, local bool) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || len(o.Issuer) > MaxURL:
		e.Add("portal.oidc.issuer", RuleNotIssuer, "max", MaxURL)
	case !isPlainURL(u, o.Issuer):
		e.Add("portal.oidc.issuer", RuleNotPlainURL)
	case u.Scheme != "https" && !(local && u.Scheme == "http" && isLoopback(u.Hostname())):
		e.Add("portal.oidc.issuer", RuleNotHTTPS)
	}
	e.text("portal.oidc.client_id", o.ClientID, 1)
}

// claimed holds the claims that say who somebody is against their limits. Home has
// operators alone, so it needs no owner's.
func (e *InputError) claimed(o *store.OIDC, home bool) {
	least := 1
	if home {
		least = 0
	}
	e.text("portal.oidc.owner_claim", o.OwnerClaim, least)
	e.text("portal.oidc.operator_claim", o.OperatorClaim, 0)
	e.text("portal.oidc.operator_value", o.OperatorValue, 0)
	if (o.OperatorClaim == "") != (o.OperatorValue == "") {
		e.Add("portal.oidc.operator_value", RuleOperatorValue)
	}
	if home && o.OperatorClaim == "" {
		e.Add("portal.oidc.operator_claim", RuleOperatorClaim, "workspace", Home)
	}
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// isLocal reports whether clients reach the server on this machine alone.
func (s *Service) isLocal() bool {
	u, err := url.Parse(s.publicURL)
	return err == nil && isLoopback(u.Hostname())
}
