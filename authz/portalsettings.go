package authz

import (
	"bytes"
	"image/png"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/burnkey/burnkey/store"
)

var accent = regexp.MustCompile(`^#[0-9a-f]{6}$`)

// portal checks the settings of the portal. If local is true, clients reach the server only from this machine.
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

func (e *InputError) oidc(o *store.OIDC, local bool) {
	if u, err := url.Parse(o.Issuer); err != nil || u.Host == "" || u.RawQuery != "" {
		e.Add("portal.oidc.issuer", RuleNotIssuer, "max", MaxURL)
	} else {
		e.remote("portal.oidc.issuer", o.Issuer, RuleNotIssuer, local)
	}
	e.text("portal.oidc.client_id", o.ClientID, 1)
}

// claimed checks the claims that identify owners and operators. Home has only operators.
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

// webURL checks an absolute http(s) URL, which must not contain a user or password.
func (e *InputError) webURL(field, text string) {
	u, err := url.Parse(text)
	if err != nil || len(text) > MaxURL || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.ContainsAny(text, " \t\r\n\"'<>\\") {
		e.Add(field, RuleNotWebURL, "max", MaxURL)
	} else if !isPlainURL(u, text) {
		e.Add(field, RuleNotPlainURL)
	}
}

// origin checks an origin (RFC 6454 section 6.2) for the list of frame-ancestors. A wildcard or a separator in
// it would allow other origins, too.
func (e *InputError) origin(field, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ToLower(u.Scheme+"://"+u.Host) != text ||
		strings.ContainsAny(u.Host, "*;, ") {
		e.Add(field, RuleNotOrigin)
	}
}

// remote checks a URL that the server itself calls; rule describes the URL's form. Plain HTTP is allowed only
// for addresses on this machine, and only if the server is local: callers from other machines could otherwise
// use the server to reach local services.
func (e *InputError) remote(field, text string, rule Rule, local bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Fragment != "" || u.User != nil || len(text) > MaxURL:
		e.Add(field, rule, "max", MaxURL)
	case !isPlainURL(u, text):
		e.Add(field, RuleNotPlainURL)
	case u.Scheme != "https" && !(local && u.Scheme == "http" && isLoopback(u.Hostname())):
		e.Add(field, RuleNotHTTPS)
	}
}

// isPlainURL reports whether a URL has a valid port and only visible characters.
func isPlainURL(u *url.URL, text string) bool {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return (u.Port() == "" || err == nil && port > 0) &&
		!strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || NoOwner(r) })
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// isLocal reports whether clients reach the server only from this machine.
func (s *Service) isLocal() bool {
	u, err := url.Parse(s.publicURL)
	return err == nil && isLoopback(u.Hostname())
}
