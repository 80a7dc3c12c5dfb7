package authz

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Limits of attributes and of rules.
const (
	MaxNetworks     = 32 // of one key
	MaxLimits       = 8  // rules of one key, plan, owner or route
	MaxRequests     = 1_000_000_000
	MaxLimitSeconds = 31_536_000
)

// Patterns of names.
const (
	LimitNamePattern = "^[a-z0-9][a-z0-9-]{0,31}$"
	PlanNamePattern  = "^[a-z0-9][a-z0-9-]{0,62}$"
)

var (
	limitName = regexp.MustCompile(LimitNamePattern)
	planName  = regexp.MustCompile(PlanNamePattern)
)

// limits checks rules that count requests.
func (e *InputError) limits(field string, limits []jwks.Limit) {
	names := make([]string, len(limits))
	for i := range limits {
		names[i] = limits[i].Name
	}
	before := len(*e)
	e.list(field, names, MaxLimits, func(name string) {
		if !limitName.MatchString(name) {
			e.Add(field, RuleLimitName)
		}
	})
	if len(*e) > before {
		return
	}
	for i := range limits {
		e.limit(fmt.Sprintf("%s[%d]", field, i), &limits[i])
	}
}

func (e *InputError) limit(field string, l *jwks.Limit) {
	if l.Requests < 1 || l.Requests > MaxRequests {
		e.Add(field+".requests", RuleOutOfRange, "min", 1, "max", MaxRequests)
	}
	switch {
	case (l.Seconds == 0) == (l.Calendar == ""):
		e.Add(field, RuleLimitPeriod)
	case l.Seconds > MaxLimitSeconds:
		e.Add(field+".seconds", RuleSecondsOutOfRange, "min", 1, "max", MaxLimitSeconds)
	case l.Calendar != "" && !slices.Contains([]string{jwks.Day, jwks.Week, jwks.Month}, l.Calendar):
		e.Add(field+".calendar", RuleNotOneOf, "values", "day, week, month")
	}
}

// planName checks the name of a plan; an empty name means no plan.
func (e *InputError) planName(field, name string) {
	if name != "" && !planName.MatchString(name) {
		e.Add(field, RulePlanName)
	}
}

// networks reads addresses and networks (CIDR), without bits after the prefix and without repetitions.
// IPv4-mapped ones become IPv4.
func (e *InputError) networks(field string, texts []string) (all []netip.Prefix) {
	if len(texts) > MaxNetworks {
		e.Add(field, RuleTooMany, "max", MaxNetworks)
		return nil
	}
	for _, text := range texts {
		network, ok := networkIn(text)
		if !ok {
			e.Add(field, RuleNotNetwork)
			return nil
		}
		if !slices.Contains(all, network) {
			all = append(all, network)
		}
	}
	return all
}

func networkIn(text string) (_ netip.Prefix, ok bool) {
	network, err := netip.ParsePrefix(text)
	if addr, isAddr := netip.ParseAddr(text); isAddr == nil && addr.Zone() == "" {
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return network, false
	}
	if network.Addr().Is4In6() {
		if network.Bits() < 96 { // neither an IPv4 network nor the IPv6 network that it seems to be
			return network, false
		}
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
	}
	return network.Masked(), true
}

// Values of EnforcedBy.
const (
	ByAll     = "all"     // by every gateway and verifier
	ByGateway = "gateway" // only by gateways and verifiers that follow the feed
)

// EnforcedBy returns, for each attribute of a key that is set, where it holds.
func EnforcedBy(k *store.Key) map[string]string {
	by := make(map[string]string)
	set := func(name, where string, isSet bool) {
		if isSet {
			by[name] = where
		}
	}
	set("enabled", ByAll, !k.SuspendedAt.IsZero())
	a := k.Attributes()
	if k.Digest != nil { // no token says anything else
		a.ExpiresAt, a.NeverExpires, a.Scopes = time.Time{}, false, nil
	}
	// Without an earlier exp, the key's JWK leaves the set when it expires.
	earlier := !a.ExpiresAt.IsZero() && (k.Signed.ExpiresAt.IsZero() || a.ExpiresAt.Before(k.Signed.ExpiresAt))
	set("expires_at", ByAll, earlier)
	set("expires_at", ByGateway, !earlier && (a.NeverExpires || !a.ExpiresAt.IsZero()))
	set("scopes", ByGateway, a.Scopes != nil)
	set("allowed_ips", ByGateway, len(a.AllowedIPs) > 0)
	set("plan", ByGateway, a.Plan != "")
	set("limits", ByGateway, len(a.Limits) > 0)
	return by
}
