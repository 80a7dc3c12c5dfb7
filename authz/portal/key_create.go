package portal

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// The field expiry contains a number of seconds or one of these values.
const (
	expiryDate   = "date"
	expiryNever  = "never"
	expiryParent = "parent" // together with the parent
)

// createForm has the typed values and the available choices.
type createForm struct {
	Owner     string // typed by an operator, or the parent's
	Name      string
	Scopes    []string
	Expiry    string
	Date      string // yyyy-mm-dd
	Addresses string // only of a key with a parent
	Once      string // see once

	Offered     []store.OfferedScope
	Presets     []time.Duration
	Never       bool   // a key may never expire
	Together    bool   // the key may expire when its parent does
	First, Last string // bounds of Date
	Full        int    // see full

	Parent *shownKey // of the new key, or nil
}

// Has reports whether a scope is ticked.
func (f *createForm) Has(scope string) bool { return slices.Contains(f.Scopes, scope) }

// Life formats a duration.
func (p *view) Life(d time.Duration) string { return p.visit.language.Life(d) }

// Seconds formats a duration as a field's value, in seconds.
func (p *view) Seconds(d time.Duration) int64 { return int64(d / time.Second) }

func newKey(v *visit) error {
	v.remember()
	texts, err := typed(v.r.URL.Query(), "owner", "parent")
	if err != nil {
		return err
	}
	f, err := v.emptyForm(texts[0], texts[1])
	if err != nil {
		return err
	}
	if f.Parent != nil && !f.Parent.CanHaveChildren(f.Owner, v.now()) {
		return v.changedMeanwhile(f.Parent.Key)
	}
	if !isOperator(&v.session) {
		if f.Full, err = v.full(); err != nil {
			return err
		}
	}
	f.Expiry, f.Once = strconv.FormatInt(v.defaultLife(), 10), newOnce()
	if !slices.Contains(f.Presets, time.Duration(v.defaultLife())*time.Second) {
		f.Expiry = expiryParent
	}
	return v.showForm(http.StatusOK, f)
}

func (v *visit) showForm(status int, f *createForm, bad ...fault) error {
	return v.render(status, "new", "new.title", f, bad...)
}

// emptyForm returns the form for a key of an owner, or for a key under the key with the id parent, if that is not empty.
func (v *visit) emptyForm(owner, parent string) (*createForm, error) {
	f := &createForm{
		Owner: owner,
		Never: authz.MayNeverExpire(v.page()), Offered: authz.ScopesOffered(&v.workspace, &v.session),
		Presets: v.presets(),
	}
	f.First, f.Last = v.now().UTC().Format(time.DateOnly), v.lastDay().Format(time.DateOnly)
	if parent == "" {
		return f, nil
	}
	k, err := v.keyOf(parent)
	if err == nil {
		shown := v.show(k)
		v.putUnder(f, &shown)
	}
	return f, err
}

func createKey(v *visit) error {
	given := v.r.PostForm
	f, err := v.emptyForm(strings.TrimSpace(given.Get("owner")), given.Get("parent"))
	if err != nil {
		return err
	}
	f.Name, f.Once = strings.TrimSpace(given.Get("name")), given.Get("once")
	f.Scopes, f.Expiry, f.Date = given["scopes"], given.Get("expiry"), given.Get("date")
	r, bad := v.request(f)
	if len(bad) > 0 {
		return v.showForm(http.StatusUnprocessableEntity, f, bad...)
	}
	issued, err := v.service.Issue(v.context(), v.workspace.ID, r)
	if err != nil {
		return v.notCreated(f, err)
	}
	return v.showIssued(issued, nil)
}

// notCreated shows the form again if the person can correct the error.
func (v *visit) notCreated(f *createForm, err error) error {
	var input authz.InputError
	switch {
	case errors.As(err, &input):
		return v.showForm(http.StatusUnprocessableEntity, f, v.faultsOf(input)...)
	case errors.Is(err, authz.ErrTooMany):
		text := v.language.Count("fault.many", v.workspace.Policy.KeysPerOwner)
		return v.showForm(http.StatusConflict, f, faults{{"", text}}...)
	case errors.Is(err, authz.ErrBusy):
		v.retryAfter(authz.RetryAfter(err))
		return v.showForm(http.StatusServiceUnavailable, f, v.fault("", "fault.busy")...)
	}
	return err
}

// request turns the form into a request, or returns its faults. The rules for keys are in authz; the
// portal also requires a name, by which the owner recognizes the key.
func (v *visit) request(f *createForm) (r authz.IssueRequest, bad faults) {
	wrong := func(field, key string) { bad = append(bad, v.fault(field, key)...) }
	r = authz.IssueRequest{Owner: v.session.Owner, Name: f.Name, Scopes: f.Scopes, IdempotencyKey: v.once(f.Once), Session: &v.session}
	if isOperator(&v.session) { // the producer is not limited to what the page offers owners
		r.Owner, r.Session = f.Owner, nil
		if f.Owner == "" {
			wrong("owner", "fault.owner")
		}
	}
	if f.Parent != nil {
		r.Parent = f.Parent.ID
		f.Addresses = v.tokenless(v.r.PostForm, "addresses", "addresses", &bad)
		r.AllowedIPs = addressesIn(f.Addresses)
	}
	if f.Name == "" {
		wrong("name", "fault.name.empty")
	}
	if key := v.expiry(f, &r); key != "" {
		wrong("expiry", key)
	}
	if !isOnce(f.Once) {
		wrong("", "fault.form")
	}
	return r, bad
}

// expiry sets the request's expiry from the form, or returns the message for an invalid value.
func (v *visit) expiry(f *createForm, r *authz.IssueRequest) string {
	switch f.Expiry {
	case expiryNever:
		r.NeverExpires = true
	case expiryParent:
		if f.Parent == nil || f.Parent.ExpiresAt.IsZero() {
			return "fault.expiry"
		}
		r.Until = f.Parent.ExpiresAt
	case expiryDate:
		date, err := time.Parse(time.DateOnly, f.Date)
		if err != nil {
			return "fault.expiry.date"
		}
		r.Until = endOf(date)
		if !r.Until.After(v.now()) {
			return "fault.expiry.past"
		}
	default:
		seconds, err := strconv.ParseInt(f.Expiry, 10, 64)
		if err != nil || seconds < 1 {
			return "fault.expiry"
		}
		r.ExpiresIn = &seconds
	}
	if f.Parent != nil && v.outlives(f.Parent, r) {
		return "fault.expires_at.beyond_parent"
	}
	return ""
}
