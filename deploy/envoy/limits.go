package envoy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MaxSignedLimits is the maximum number of SignedLimits: the filter compares a request with one after the other.
const MaxSignedLimits = 32

// maxCounted is the number of keys that Envoy counts at the same time for each of SignedLimits.
const maxCounted = 100000

// CEL expressions.
const (
	verifiedToken = "metadata.filter_metadata['envoy.filters.http.jwt_authn']"
	// signedLimit is the limit that the token carries.
	signedLimit = verifiedToken + ".burnkey.rate_limit"
	// isAccess is true for tokens of type at+jwt, which can also be keys. Claims about a parent count only in these: a key of
	// type JWT can have custom claims of the same names.
	isAccess = verifiedToken + ".burnkey_header.typ == 'at+jwt'"
)

// parentOr is a CEL expression for a claim about the parent of an access token or, if there is no parent, for a member of the
// token itself.
func parentOr(claim, own string) string {
	claim = verifiedToken + ".burnkey." + claim
	return fmt.Sprintf("%s && has(%s) ? %s : %s.%s", isAccess, claim, claim, verifiedToken, own)
}

// CountedID and CountedKID are CEL expressions for the id and the kid of the key that limits count: all access tokens of a key
// together, and with the key itself.
func (view) CountedID() string  { return parentOr("key_id", "burnkey.jti") }
func (view) CountedKID() string { return parentOr("key_kid", "burnkey_header.kid") }

var limitPattern = regexp.MustCompile(`^([1-9][0-9]{0,9})/(second|minute|hour|day|month)$`)

var unitSeconds = map[string]uint64{"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "MONTH": 30 * 86400}

// signedRule is one of SignedLimits.
type signedRule struct {
	Requests uint32
	Unit     string // as the claim has it: a name of envoy.type.v3.RateLimitUnit
	Seconds  uint64
}

// String returns the value by which the filter finds the rule.
func (r signedRule) String() string { return fmt.Sprintf("%d/%s", r.Requests, r.Unit) }

// compareRates orders rules by their rate, and those of the same rate by their burst.
func compareRates(a, b signedRule) int {
	return cmp.Or(cmp.Compare(uint64(a.Requests)*b.Seconds, uint64(b.Requests)*a.Seconds), cmp.Compare(a.Requests, b.Requests))
}

// Lowest returns the rule that holds for a token whose limit is not in the list.
func (v view) Lowest() signedRule { return slices.MinFunc(v.SignedRules, compareRates) }

func parseSignedLimits(list []string) (rules []signedRule, err error) {
	if len(list) > MaxSignedLimits {
		return nil, fieldError("signed-limit", "may be given at most %d times, not %d", MaxSignedLimits, len(list))
	}
	for _, text := range list {
		parts := limitPattern.FindStringSubmatch(text)
		if parts == nil {
			return nil, fieldError("signed-limit", "must be REQUESTS/UNIT such as 100/minute (second, minute, hour, day or month), not %q", text)
		}
		requests, err := strconv.ParseUint(parts[1], 10, 32)
		if err != nil {
			return nil, fieldError("signed-limit", "must be at most 4294967295 requests, not %s", parts[1])
		}
		unit := strings.ToUpper(parts[2])
		rule := signedRule{uint32(requests), unit, unitSeconds[unit]}
		if slices.Contains(rules, rule) {
			return nil, fieldError("signed-limit", "%q is given twice", text)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func (c Config) checkLimits() error {
	switch {
	case len(c.SignedLimits) > 0 && len(c.LimitServices) > 0:
		return fieldError("signed-limit", "cannot be combined with --limits service: a service takes every limit from the token")
	case c.RefuseWithoutLimits && len(c.LimitServices) == 0:
		return fieldError("limits-down", "is for --limits service")
	}
	_, err := parseSignedLimits(c.SignedLimits)
	if err == nil {
		_, err = parseGateways(c.LimitServices)
	}
	return err
}
