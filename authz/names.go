package authz

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/burnkey/burnkey/jwks"
)

// Limits of the contract.
const (
	MaxText           = 255      // characters of an owner, a name, an audience
	MaxClaims         = 4 << 10  // bytes of JSON without white space
	MaxMetadata       = 16 << 10 // bytes of JSON without white space
	MaxDepth          = jwks.MaxDepth
	MaxScopes         = 64        // of one key
	MaxScope          = 128       // characters of one
	MaxAudiences      = 16        // of a workspace or key
	MaxExpiresIn      = 315360000 // seconds: 10 years
	DefaultExpiresIn  = 7776000   // seconds: 90 days
	MaxIdempotencyKey = 255       // characters

	// MaxPayload bounds all claims of a token together, in bytes of JSON: what remains of jwks.MaxTokenLen
	// after the header and the signature.
	MaxPayload = (jwks.MaxTokenLen - 512) / 4 * 3
)

// Classes of the characters that texts, names or owners must not contain.
const (
	controls = "\\x00-\\x1f\\x7f-\\x9f"
	// unseenInNames does not have the invisible characters that some scripts need: names can contain them.
	unseenInNames = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164" +
		"\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
	unseen = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164" +
		"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
	ownersEnd = "[^\\x00-\\x20\\x7f-\\x9f" + unseen + "]"
)

// Patterns of the OpenAPI document. A test compares those of names and owners with NoName and NoOwner.
const (
	NamePattern  = "^[^" + controls + unseenInNames + "]*$"
	OwnerPattern = "^" + ownersEnd + "([^" + controls + unseen + "]*" + ownersEnd + ")?$"
	TextPattern  = "^[^" + controls + "\u2028\u2029]*$" // of audiences
	ScopePattern = `^[!#-\[\]-~]*$`
)

var workspaceID = regexp.MustCompile(jwks.WorkspacePattern)

// CheckWorkspaceID returns an InputError for the field if id is not valid as the id of a workspace.
func CheckWorkspaceID(field, id string) error {
	var bad InputError
	bad.workspaceID(field, id)
	return bad.err()
}

func (e *InputError) workspaceID(field, id string) {
	if !workspaceID.MatchString(id) {
		e.Add(field, RuleNotWorkspaceID)
	}
}

func (e *InputError) text(field, value string, least int) {
	switch n := utf8.RuneCountInString(value); {
	case !utf8.ValidString(value):
		e.Add(field, RuleNotUTF8)
	case n < least:
		e.Add(field, RuleEmpty)
	case n > MaxText:
		e.Add(field, RuleTooLong, "max", MaxText)
	case strings.ContainsFunc(value, isControl):
		e.Add(field, RuleControl)
	}
}

func isControl(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) }

// isUnseen reports whether a character is invisible (Default_Ignorable_Code_Point, derived as in Unicode
// Standard Annex 44, and annotations) or changes the direction of text (Annex 9 section 2). A name that
// contains one can look like another name.
func isUnseen(r rune) bool {
	switch {
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r), r >= 0x13430 && r <= 0x13440: // format characters that are visible
		return false
	case r == 0x2800: // the Braille pattern without a dot
		return true
	}
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// isJoiner reports whether a character is invisible but needed to write some scripts and emoji.
func isJoiner(r rune) bool {
	return r == 0x200c || r == 0x200d || unicode.Is(unicode.Variation_Selector, r)
}

func isHidden(r rune) bool { return isUnseen(r) && !isJoiner(r) }

// NoName reports whether names must not contain a character.
func NoName(r rune) bool { return isControl(r) || isHidden(r) }

// NoOwner reports whether owners must not contain a character: different owners must not look the same.
func NoOwner(r rune) bool { return isControl(r) || isUnseen(r) }

// name checks a string that people read as a name.
func (e *InputError) name(field, value string, least int) {
	before := len(*e)
	if e.text(field, value, least); len(*e) == before {
		e.seen(field, value)
	}
}

func (e *InputError) seen(field, value string) { e.without(isHidden, field, value) }

func (e *InputError) without(no func(rune) bool, field, value string) {
	if strings.ContainsFunc(value, no) {
		e.Add(field, RuleInvisible)
	}
}

// owner checks an id that gateways pass on in an HTTP header. HTTP removes spaces at both ends, which could
// turn one owner into another.
func (e *InputError) owner(field, value string) {
	before := len(*e)
	if e.text(field, value, 1); len(*e) == before {
		e.without(NoOwner, field, value)
	}
	if len(*e) == before && strings.Trim(value, " ") != value {
		e.Add(field, RuleOuterSpace)
	}
}

func (e *InputError) idempotencyKey(value string) {
	if len(value) > MaxIdempotencyKey {
		e.Add("Idempotency-Key", RuleTooLong, "max", MaxIdempotencyKey)
		return
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' {
			e.Add("Idempotency-Key", RuleNotASCII)
			return
		}
	}
}
