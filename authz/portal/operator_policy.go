package portal

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// policyForm is the form for the rules for keys.
type policyForm struct {
	Version      string // of the settings when the form was shown
	Scopes       string // a scope and its description on each line
	Default, Max lifeField
	Never        bool
	OwnNever     bool // owners may create keys that never expire
	PerOwner     string
	Audience     []choice
	Usual        time.Duration // life of a key if Default is empty
}

// lifeField is a duration as typed. If it is empty, the server's default applies.
type lifeField struct{ Number, Unit string }

// choice is a checkbox.
type choice struct {
	Name string
	On   bool
}

// units has the length of each unit in seconds. unitNames has the units in the order of the form.
var (
	units     = map[string]int64{"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
	unitNames = []string{"days", "hours", "minutes", "seconds"}
)

func lifeOf(seconds int64) lifeField {
	if seconds == 0 {
		return lifeField{Unit: unitNames[0]}
	}
	i := slices.IndexFunc(unitNames, func(name string) bool { return seconds%units[name] == 0 })
	return lifeField{strconv.FormatInt(seconds/units[unitNames[i]], 10), unitNames[i]}
}

// unread stands for a number that can't be parsed. authz refuses it together with all other faults.
const unread = -1

// seconds returns the duration in seconds, or unread. More than 31 bits are out of range in any unit.
func (l lifeField) seconds() int64 {
	unit, ok := units[l.Unit]
	if !ok && l.Number != "" {
		return unread
	}
	return numberIn(l.Number) * unit
}

// numberIn parses a number of at least 1. An empty string is 0, and any other text is unread.
func numberIn(text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return unread
	}
	return n
}

// policyForm returns the form filled with the current settings.
func (v *visit) policyForm() policyForm {
	w := &v.workspace
	f := policyForm{
		Version: policyVersion(w), Default: lifeOf(w.Policy.DefaultExpiresIn), Max: lifeOf(w.Policy.MaxExpiresIn), Never: w.AllowNeverExpires,
		OwnNever: w.Policy.PortalNeverExpires,
		Usual:    time.Duration(min(authz.DefaultExpiresIn, authz.MaxLife(w))) * time.Second,
	}
	var lines []string
	for _, scope := range w.Policy.Scopes {
		lines = append(lines, strings.TrimSpace(scope.Name+" "+scope.Description))
	}
	f.Scopes = strings.Join(lines, "\n")
	if w.Policy.KeysPerOwner > 0 {
		f.PerOwner = strconv.Itoa(w.Policy.KeysPerOwner)
	}
	for _, name := range w.Audiences {
		f.Audience = append(f.Audience, choice{name, slices.Contains(w.Policy.DefaultAudience, name)})
	}
	return f
}

// policyVersion returns the version of all settings that this form can change.
func policyVersion(w *store.Workspace) string {
	p := w.Policy.Clone() // as a store returns it
	p.Webhook, p.Expiry, p.TokenType, p.Exchange = "", "", "", store.Exchange{}
	return version(struct {
		store.Policy
		Never bool
	}{p, w.AllowNeverExpires})
}

func savePolicy(v *visit) error {
	typed, bad := v.readPolicy(v.r.PostForm)
	retyped := func(p *settingsPage) {
		typed.Usual = p.Policy.Usual
		p.Policy = typed
	}
	if len(bad) > 0 {
		return v.settingsRefused(bad, retyped)
	}
	next := store.Policy{
		Scopes: scopesIn(typed.Scopes), DefaultExpiresIn: typed.Default.seconds(), MaxExpiresIn: typed.Max.seconds(),
		KeysPerOwner: int(numberIn(typed.PerOwner)), PortalNeverExpires: typed.OwnNever,
	}
	for _, audience := range typed.Audience {
		if audience.On {
			next.DefaultAudience = append(next.DefaultAudience, audience.Name)
		}
	}
	err := v.change(typed.Version, policyVersion, func(w *store.Workspace) {
		next.Webhook, next.Expiry = w.Policy.Webhook, w.Policy.Expiry
		next.TokenType, next.Exchange = w.Policy.TokenType, w.Policy.Exchange
		w.Policy, w.AllowNeverExpires = next, typed.Never
	})
	return v.settingsSaved(err, "policy", retyped)
}

// readPolicy reads the form. A field with a token is a fault.
func (v *visit) readPolicy(from url.Values) (f policyForm, bad faults) {
	text := func(field, name string) string { return v.tokenless(from, field, name, &bad) }
	f = policyForm{
		Version: from.Get("version"), Scopes: strings.ReplaceAll(text("scopes", "scopes"), "\r\n", "\n"),
		Default:  lifeField{text("default", "default"), from.Get("default_unit")},
		Max:      lifeField{text("max", "max"), from.Get("max_unit")},
		PerOwner: text("perowner", "perowner"), Never: from.Get("never") == "yes", OwnNever: from.Get("ownnever") == "yes",
	}
	for _, name := range v.workspace.Audiences {
		f.Audience = append(f.Audience, choice{name, slices.Contains(from["audience"], name)})
	}
	return f, bad
}

// tokenless returns the value of a field. A value with a token becomes a fault instead.
func (v *visit) tokenless(from url.Values, field, name string, bad *faults) string {
	text := strings.TrimSpace(from.Get(name))
	if strings.Contains(text, jwks.TokenPrefix) {
		*bad = append(*bad, v.fault(field, "fault.settings.token")...)
		return ""
	}
	return text
}

// scopesIn parses lines, each with a scope and, after a space, the scope's description.
func scopesIn(text string) (scopes []store.OfferedScope) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		end := strings.IndexFunc(line, unicode.IsSpace)
		if end < 0 {
			end = len(line)
		}
		scopes = append(scopes, store.OfferedScope{Name: line[:end], Description: strings.TrimSpace(line[end:])})
	}
	return scopes
}

// policyTexts returns the form's fields as text.
func (v *visit) policyTexts(f *policyForm) []typedText {
	t := v.language.Text
	life := func(l lifeField) string {
		if l.Number == "" {
			return t("none")
		}
		return l.Number + " " + t("unit."+l.Unit)
	}
	var audience []string
	for _, one := range f.Audience {
		if one.On {
			audience = append(audience, one.Name)
		}
	}
	word := map[bool]string{true: t("yes"), false: t("no")}
	return []typedText{
		{t("settings.scopes"), f.Scopes},
		{t("settings.default"), life(f.Default)},
		{t("settings.max"), life(f.Max)},
		{t("settings.never"), word[f.Never]},
		{t("settings.ownnever"), word[f.OwnNever]},
		{t("settings.perowner"), f.PerOwner},
		{t("settings.audience"), strings.Join(audience, " ")},
	}
}
