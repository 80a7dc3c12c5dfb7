package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
)

func policyRows(p *client.Policy) [][]string {
	if p == nil {
		return nil
	}
	rows := [][]string{{"offered scopes", "any; in the portal none"}}
	for i, scope := range p.Scopes {
		text := scope.Name
		if scope.Description != "" {
			text += ": " + scope.Description
		}
		if i == 0 {
			rows[0][1] = text
			continue
		}
		rows = append(rows, []string{"", text})
	}
	many := "any number"
	if p.KeysPerOwner > 0 {
		many = strconv.Itoa(p.KeysPerOwner)
	}
	return append(rows, [][]string{
		{"longest lifetime", lifeOr(p.MaxExpiresIn, authz.MaxExpiresIn)},
		{"default lifetime", lifeOr(p.DefaultExpiresIn, min(authz.DefaultExpiresIn, cmp.Or(p.MaxExpiresIn, authz.MaxExpiresIn)))},
		{"expiry", map[bool]string{true: "by publication", false: "signed"}[p.Expiry == "publication"]},
		{"token type", cmp.Or(p.TokenType, "JWT")},
		{"expiry in portal", map[bool]string{true: "optional", false: "required"}[p.PortalNeverExpires]},
		{"keys per owner", many},
		{"default audience", cmp.Or(strings.Join(p.DefaultAudience, " "), "all of them")},
		{"exchange", exchangeRow(p.Exchange)},
		{"webhook", cmp.Or(p.Webhook, "none")},
	}...)
}

func exchangeRow(x client.Exchange) string {
	if !x.Enabled {
		return "off"
	}
	return fmt.Sprintf("access tokens of up to %s; sets cached for up to %s; %d a minute for each key",
		lifeOr(x.MaxExpiresIn, authz.MaxTokenLife), lifeOr(x.MaxCacheAge, authz.DefaultCacheAge), cmp.Or(x.PerMinute, authz.DefaultPerMinute))
}

func portalRows(w *client.Workspace) [][]string {
	p := w.Portal
	if p == nil {
		return nil
	}
	logo := "none"
	if len(p.Logo) > 0 {
		logo = fmt.Sprintf("a PNG picture of %d bytes", len(p.Logo))
	}
	rows := [][]string{
		{"display name", cmp.Or(p.DisplayName, w.Name+" (the name)")},
		{"base URL", cmp.Or(p.BaseURL, "none")},
		{"accent", cmp.Or(p.Accent, "the portal's own")},
		{"logo", logo},
		{"frame ancestors", cmp.Or(strings.Join(p.FrameAncestors, " "), "none")},
	}
	o := p.OIDC
	if o == nil {
		return append(rows, []string{"OIDC issuer", "none"})
	}
	operators := "none"
	if o.OperatorClaim != "" {
		operators = "claim " + o.OperatorClaim + " is or has " + o.OperatorValue
	}
	return append(rows, [][]string{
		{"OIDC issuer", o.Issuer},
		{"OIDC client id", o.ClientID},
		{"OIDC owners", "claim " + o.OwnerClaim},
		{"OIDC operators", operators},
	}...)
}

// lifeOr returns a lifetime in words. If it is 0, the default is returned.
func lifeOr(seconds, byDefault int64) string {
	if seconds == 0 {
		return life(byDefault) + " (the default)"
	}
	return life(seconds)
}

// life formats seconds in the form that flags accept.
func life(seconds int64) string {
	for _, unit := range []struct {
		name    string
		seconds int64
	}{{"d", 24 * 60 * 60}, {"h", 60 * 60}, {"m", 60}} {
		if seconds%unit.seconds == 0 {
			return strconv.FormatInt(seconds/unit.seconds, 10) + unit.name
		}
	}
	return strconv.FormatInt(seconds, 10) + "s"
}
