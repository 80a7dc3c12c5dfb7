package portal

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// keyAttributes is the data of a key's attributes, and of the forms that change them.
type keyAttributes struct {
	CanPause, CanResume, CanChange bool

	Held      map[string]string // attribute to authz.ByAll or authz.ByGateway, for those that are set
	Signed    store.Signed      // what the token says
	Counted   authz.KeyLimits   // without those of routes and addresses, which count others' requests, too
	Reason    string            // as typed
	Addresses string            // as typed, or one on each line
	Expiry    expiryForm
	Scopes    scopesForm
	Ceiling   store.Ceiling // of the owner
}

// expiryForm has the typed values and the available choices.
type expiryForm struct {
	Choice, Date, First, Last string // dates: yyyy-mm-dd
	Never, Signed             bool
	Everywhere                bool // any date applies at every gateway, since the token never expires
}

type scopesForm struct {
	Choices []scopeChoice
	Any     bool   // the workspace has no list of scopes
	Text    string // as typed, if Any
}

type scopeChoice struct {
	store.OfferedScope
	On, Offered bool
}

// attributesOf returns the attributes of a key as its page shows them.
func (v *visit) attributesOf(k, parent *shownKey) (a keyAttributes, err error) {
	a = keyAttributes{
		Held: authz.EnforcedBy(&k.Key), Reason: v.typedIn("pause", "reason", ""), Ceiling: v.ceiling(&k.Key),
	}
	within := v.boundsOf(&k.Key, parent)
	a.Expiry, a.Scopes = v.expiryForm(k, within), v.scopesForm(k, within)
	if k.Signed != nil {
		a.Signed = *k.Signed
	}
	suspended := k.State == string(store.Suspended)
	a.CanChange = k.Live()
	a.CanPause = k.Live() && !suspended
	a.CanResume = suspended && k.SuspendedBy != store.ByParent && (isOperator(&v.session) || k.SuspendedBy == store.ByOwner)
	lines := make([]string, len(k.AllowedIPs))
	for i, network := range k.AllowedIPs {
		lines[i] = addressText(network)
	}
	a.Addresses = v.typedIn("addresses", "addresses", strings.Join(lines, "\n"))
	a.Counted, err = v.service.KeyLimits(v.r.Context(), k.Key)
	return a, err
}

// ceiling returns what the producer set on a key. It binds owners only.
func (v *visit) ceiling(k *store.Key) store.Ceiling {
	if isOperator(&v.session) {
		return store.Ceiling{}
	}
	return k.Ceiling
}

func (v *visit) expiryForm(k *shownKey, within bounds) expiryForm {
	f := expiryForm{
		First: v.now().UTC().Format(time.DateOnly), Last: within.last(v.lastDay()).Format(time.DateOnly),
		Never:  (authz.MayNeverExpire(v.page()) || k.ExpiresAt.IsZero()) && within.allowExpiry(time.Time{}),
		Signed: k.Signed != nil && !k.Signed.ExpiresAt.Equal(k.ExpiresAt) && within.allowExpiry(k.Signed.ExpiresAt),
	}
	f.Everywhere = k.Signed == nil && k.Digest == nil && k.ExpiresAt.IsZero() || k.Signed != nil && k.Signed.ExpiresAt.IsZero()
	choice, date := expiryDate, k.ExpiresAt.UTC().Format(time.DateOnly)
	if k.ExpiresAt.IsZero() {
		choice, date = expiryNever, ""
	}
	f.Choice, f.Date = v.typedIn("expiry", "expiry", choice), v.typedIn("expiry", "date", date)
	return f
}

// scopesForm returns the scopes on offer and those that the key has.
func (v *visit) scopesForm(k *shownKey, within bounds) scopesForm {
	f := scopesForm{
		Any:  isOperator(&v.session) && len(v.workspace.Policy.Scopes) == 0,
		Text: v.typedIn("scopes", "scopes", strings.Join(k.Scopes, " ")),
	}
	ticked := k.Scopes
	if v.isForm("scopes") {
		ticked = v.r.PostForm["scopes"]
	}
	add := func(scope store.OfferedScope, offered bool) {
		f.Choices = append(f.Choices, scopeChoice{scope, slices.Contains(ticked, scope.Name), offered})
	}
	offered := slices.DeleteFunc(authz.ScopesOffered(&v.workspace, &v.session), func(o store.OfferedScope) bool {
		return !within.allowScope(o.Name)
	})
	for _, scope := range offered {
		add(scope, true)
	}
	for _, name := range k.Scopes {
		if !slices.ContainsFunc(offered, func(o store.OfferedScope) bool { return o.Name == name }) {
			add(store.OfferedScope{Name: name}, false)
		}
	}
	return f
}

// ByGateway reports whether only gateways that follow the feed hold an attribute.
func (a *keyAttributes) ByGateway(attribute string) bool { return a.Held[attribute] == authz.ByGateway }

// Rule formats a rule that counts requests.
func (p *view) Rule(l jwks.Limit) string {
	if l.Calendar != "" {
		return p.N("limit."+l.Calendar, int(l.Requests))
	}
	return p.N("limit.rate", int(l.Requests), "life", p.Life(time.Duration(l.Seconds)*time.Second))
}

// Left formats how many requests a rule still allows, as a text beside the picture.
func (p *view) Left(l authz.KeyLimit) string {
	return p.T("left", "n", l.Remaining, "of", l.Requests)
}

// Address formats a network, or an address if it has only one.
func (p *view) Address(network netip.Prefix) string { return addressText(network) }

// Keys returns the path of the list of keys, for an owner or for operators.
func (p *view) Keys() string {
	if p.Operator() {
		return p.Path("operator", "keys")
	}
	return p.Path("keys")
}

// KeyPath returns the path of a key's page or of one of its forms, for an owner or for operators.
func (p *view) KeyPath(id string, action ...string) string {
	return strings.Join(append([]string{p.visit.keyPath(id)}, action...), "/")
}

func addressText(network netip.Prefix) string {
	if network.IsSingleIP() {
		return network.Addr().String()
	}
	return network.String()
}
