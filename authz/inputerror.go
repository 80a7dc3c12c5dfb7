package authz

import (
	"fmt"
	"slices"
	"strings"
)

// Rule is a rule that input can break. Code is stable and part of the HTTP API. Text is the rule in plain
// English, in which {name} stands for an argument of the FieldError.
type Rule struct{ Code, Text string }

// rules lists all rules. The function rule adds to it.
var rules []Rule

func rule(code, text string) Rule {
	r := Rule{code, text}
	rules = append(rules, r)
	return r
}

// Rules returns all rules.
func Rules() []Rule { return slices.Clone(rules) }

// Rules of any text, list and number.
var (
	RuleEmpty             = rule("empty", "must not be empty")
	RuleTooLong           = rule("too_long", "must be at most {max} characters")
	RuleTooLarge          = rule("too_large", "must be at most {max} bytes")
	RuleTooMany           = rule("too_many", "must be at most {max}")
	RuleDuplicate         = rule("duplicate", "must not contain a value twice")
	RuleOutOfRange        = rule("out_of_range", "must be {min} to {max}")
	RuleSecondsOutOfRange = rule("seconds_out_of_range", "must be {min} to {max} seconds")
	RuleYearOutOfRange    = rule("year_out_of_range", "must be in the years {min} to {max}")
	RuleTooShort          = rule("too_short", "must be at least {min}")
	RuleNotDuration       = rule("not_duration", errDuration.Error())
	RuleNotOneOf          = rule("not_one_of", "must be one of {values}")
	RuleNotUTF8           = rule("not_utf8", "must be UTF-8")
	RuleNotASCII          = rule("not_ascii", "must contain printable ASCII characters only")
	RuleControl           = rule("control_characters", "must not contain control characters or line breaks")
	RuleInvisible         = rule("invisible_characters",
		"must not contain invisible characters or characters that change the direction of text")
	RuleOuterSpace = rule("outer_space", "must not begin or end with a space")
)

// Rules of ids and tokens.
var (
	RuleNotWorkspaceID = rule("not_workspace_id", "must be the id of a workspace: 1 to 63 characters of a-z, 0-9 and -, not beginning with -")
	RuleNotKeyID       = rule("not_key_id", "must be the id of a key")
	RuleNotKID         = rule("not_kid", "must be the kid of a key")
	RuleNotIDOrKID     = rule("not_id_or_kid", "must be an id, a kid or the digest of an imported key")
	RuleNotToken       = rule("not_token", "must be a token")
	RuleNotPosition    = rule("not_position", "must be a version and the fingerprint of the feed at it, joined by a dot")
)

// Rules of a key's contents.
var (
	RuleScopeLength       = rule("scope_length", "each must be 1 to {max} characters")
	RuleScopeCharacters   = rule("scope_characters", `each must consist of visible ASCII characters other than " and \`)
	RuleScopeNotOffered   = rule("scope_not_offered", "must be among the scopes that the workspace offers")
	RuleUnknownScope      = rule("unknown_scope", "must be among {values}")
	RuleUnknownAudience   = rule("unknown_audience", "must be among the workspace's audiences")
	RuleNotObject         = rule("not_object", "must be a JSON object with no member twice")
	RuleTooDeep           = rule("too_deep", "must not be nested deeper than {max} levels")
	RuleReservedClaim     = rule("reserved_claim", "is a reserved claim")
	RuleUnknownClaim      = rule("unknown_claim", "must have no member but {claim} in the workspace {workspace}")
	RulePayloadTooLarge   = rule("payload_too_large", "must be at most {max} bytes together with owner, scopes and audience")
	RuleExpiresTwice      = rule("expires_twice", "must be absent if never_expires is true")
	RuleNeverExpires      = rule("never_expires", "is not allowed in this workspace")
	RuleNeverExpiresLimit = rule("never_expires_limit", "is not allowed in this workspace, whose keys expire after {max} seconds at most")
)

// Rules of a key's attributes, and of limits.
var (
	RuleNotNetwork          = rule("not_network", "each must be an address or a network such as 192.0.2.0/24 or 2001:db8::/32")
	RulePlanName            = rule("plan_name", "must be the name of a plan: 1 to 63 characters of a-z, 0-9 and -, not beginning with -")
	RuleNoPlan              = rule("no_plan", "must be a plan of the workspace")
	RuleLimitName           = rule("limit_name", "each must have a name of 1 to 32 characters of a-z, 0-9 and -, not beginning with -")
	RuleLimitPeriod         = rule("limit_period", "must have either seconds or calendar")
	RuleRouteName           = rule("route_name", "must be the name of a route: 1 to 63 characters of a-z, 0-9 and -, not beginning with -")
	RuleNameless            = rule("nameless", "must be absent: these limits have no name")
	RuleSignedLimit         = rule("signed_limit", "must name one of the limits, of 1, 60, 3600 or 86400 seconds or a calendar day or month")
	RuleNoHomeLimits        = rule("no_home_limits", "can't be set in the workspace {workspace}, whose keys are the management keys")
	RuleNotFuture           = rule("not_future", "must be in the future")
	RuleTooLate             = rule("too_late", "must be at most {max} seconds from now")
	RuleNotSuspended        = rule("not_suspended", "must be given together with enabled: false, or for a suspended key")
	RuleSuspendedByProducer = rule("suspended_by_producer", "can't be changed by the owner: the producer suspended the key")
	RuleProducersExpiry     = rule("producers_expiry", "must be at most {max}, which the producer set for this key")
	RuleProducersScopes     = rule("producers_scopes", "must be among the scopes that the producer set for this key: {values}")
	RuleProducersNetworks   = rule("producers_networks", "each must be within those that the producer set for this key: {values}")
	RuleNoParent            = rule("no_parent", "must be an active key of the same owner, without a parent")
	RuleManyChildren        = rule("many_children", "must be a key that has fewer than {max} keys under it")
	RuleBeyondParent        = rule("beyond_parent", "must be within what the parent key allows")
	RuleSuspendedByParent   = rule("suspended_by_parent", "can't be changed: the parent key is suspended")
	RuleChildRotation       = rule("child_rotation", "must be a key without a parent: instead, issue another key under the parent")
	RulePlanOrScopes        = rule("plan_or_scopes", "must be given without scopes, or scopes without a plan")
	RuleAlreadyHas          = rule("already_has", "must contain something that the key does not have")
	RuleProducersOnly       = rule("producers_only", "can't be chosen by the owner of a key")
	RuleManagementKey       = rule("management_key", "can't be set for a key of the workspace {workspace}")
	RuleExpiryChanged       = rule("expiry_changed", "must be requested again: the workspace's policy.expiry has just changed")
	RuleTokenTypeChanged    = rule("token_type_changed", "must be requested again: the workspace's policy.token_type has just changed")
)

// Rules of a workspace's policy and portal, of links to the portal, and of selections of keys.
var (
	RuleDefaultTooLong     = rule("default_too_long", "is {value}, and must be 0 to {max} seconds: no more than max_expires_in")
	RuleAccessTokensExpire = rule("access_tokens_expire", "must be JWT if policy.expiry is publication: RFC 9068 requires exp")
	RuleTokenPrefix        = rule("token_prefix", "must begin with a letter, end with -, and have 2 to 32 characters of a-z, 0-9 and -")
	RulePrefixSet          = rule("prefix_set", "can't be changed: keys of the workspace have the prefix {value}")
	RuleNoHomePrefix       = rule("no_home_prefix", "can't be set for the workspace {workspace}, whose keys are the management keys")
	RuleBareTokens         = rule("bare_tokens", "is required with a new token_prefix: until when tokens without it are valid, or null")
	RulePrefixless         = rule("prefixless", "must be absent without token_prefix")
	RuleLocksOut           = rule("locks_out", "must not be set for the workspace {workspace}: it would lock its operators out")
	RuleNotColor           = rule("not_color", "must be # and six hexadecimal digits")
	RuleNotPNG             = rule("not_png", "must be a PNG picture")
	RulePictureTooLarge    = rule("picture_too_large", "must be at most {max} pixels wide and high")
	RuleNotURL             = rule("not_url", "must be a URL of at most {max} characters, without a user")
	RuleNotWebURL          = rule("not_web_url", "must be an http(s) URL of at most {max} characters, without a user")
	RuleNotIssuer          = rule("not_issuer", "must be the URL of an OpenID provider, of at most {max} characters")
	RuleNotPlainURL        = rule("not_plain_url", "must have a valid port, if any, and no spaces, control characters or invisible characters")
	RuleNotHTTPS           = rule("not_https", "must begin with https://")
	RuleNotOrigin          = rule("not_origin", "each must be an origin such as https://app.example.com")
	RuleOperatorValue      = rule("operator_value", "must be given together with operator_claim")
	RuleOperatorClaim      = rule("operator_claim", "is required in the workspace {workspace}, where only operators log in")
	RuleOwnerless          = rule("ownerless", "must be absent for an operator")
	RuleOperatorsOnly      = rule("operators_only", "{workspace} has a portal for operators only: its keys are the management keys")
	RuleNothingSelected    = rule("nothing_selected", "must select keys: by ids, owner, scope, plan, created_before or unused_for")
	RuleSelectsAll         = rule("selects_all", "must not select all keys")
)

// Rules of the form of a request.
var (
	RuleMalformed  = rule("malformed", "must be well-formed")
	RuleNotOnce    = rule("not_once", "must be given once")
	RuleEmptyQuery = rule("empty_parameter", "must not be empty; omit it instead")
	RuleNotCursor  = rule("not_cursor", "must be the next_cursor of an earlier page")
)

// FieldError reports that one field of the input breaks a rule.
type FieldError struct {
	Field string
	Rule
	// Args are the rule's arguments as alternating names and values, such as "max", 255.
	Args []any
}

// Detail returns the rule with its arguments, in English. It never contains the field's value.
func (f FieldError) Detail() string {
	places := make([]string, 0, len(f.Args))
	for i := 0; i+1 < len(f.Args); i += 2 {
		places = append(places, fmt.Sprintf("{%v}", f.Args[i]), fmt.Sprint(f.Args[i+1]))
	}
	return strings.NewReplacer(places...).Replace(f.Text)
}

// InputError lists all faults of the input. The call changed nothing.
type InputError []FieldError

func (e InputError) Error() string {
	texts := make([]string, len(e))
	for i, f := range e {
		texts[i] = f.Field + ": " + f.Detail()
	}
	return strings.Join(texts, "; ")
}

// Add appends a FieldError.
func (e *InputError) Add(field string, r Rule, args ...any) {
	*e = append(*e, FieldError{field, r, args})
}

// err returns e as an error, or nil if it is empty.
func (e InputError) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Invalid returns an InputError with one FieldError.
func Invalid(field string, r Rule, args ...any) InputError { return InputError{{field, r, args}} }
