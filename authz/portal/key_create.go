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
	expiryDate  = "date"
	expiryNever = "never"
)

// createForm has the typed values and the available choices.
type createForm struct {
	Owner  string // typed by an operator
	Name   string
	Scopes []string
	Expiry string
	Date   string // yyyy-mm-dd
	Once   string // see once

	Offered     []store.OfferedScope
	Presets     []time.Duration
	Never       bool   // a key may never expire
	First, Last string // bounds of Date
	Full        int    // see full
}

// Has reports whether a scope is ticked.
func (f *createForm) Has(scope string) bool { return slices.Contains(f.Scopes, scope) }

// Life formats a duration.
func (p *view) Life(d time.Duration) string { return p.visit.language.Life(d) }

// Seconds formats a duration as a field's value, in seconds.
func (p *view) Seconds(d time.Duration) int64 { return int64(d / time.Second) }

func newKey(v *visit) error {
	v.remember()
	f := v.emptyForm()
	texts, err := typed(v.r.URL.Query(), "owner")
	if err != nil {
		return err
	}
	if f.Owner = texts[0]; !isOperator(&v.session) {
		f.Full, err = v.full()
	}
	if err != nil {
		return err
	}
	f.Expiry, f.Once = strconv.FormatInt(v.defaultLife(), 10), newOnce()
	return v.render(http.StatusOK, "new", "new.title", f)
}

func (v *visit) emptyForm() *createForm {
	f := &createForm{
		Never: authz.MayNeverExpire(v.page()), Offered: authz.ScopesOffered(&v.workspace, &v.session),
		Presets: v.presets(),
	}
	f.First, f.Last = v.now().UTC().Format(time.DateOnly), v.lastDay().Format(time.DateOnly)
	return f
}

func createKey(v *visit) error {
	f := v.emptyForm()
	given := v.r.PostForm
	f.Name, f.Owner = strings.TrimSpace(given.Get("name")), strings.TrimSpace(given.Get("owner"))
	f.Scopes, f.Expiry, f.Date = given["scopes"], given.Get("expiry"), given.Get("date")
	f.Once = given.Get("once")
	r, bad := v.request(f)
	if len(bad) > 0 {
		return v.render(http.StatusUnprocessableEntity, "new", "new.title", f, bad...)
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
		return v.render(http.StatusUnprocessableEntity, "new", "new.title", f, v.faultsOf(input)...)
	case errors.Is(err, authz.ErrTooMany):
		text := v.language.Count("fault.many", v.workspace.Policy.KeysPerOwner)
		return v.render(http.StatusConflict, "new", "new.title", f, faults{{"", text}}...)
	case errors.Is(err, authz.ErrBusy):
		v.retryAfter(authz.RetryAfter(err))
		return v.render(http.StatusServiceUnavailable, "new", "new.title", f, v.fault("", "fault.busy")...)
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
	return ""
}
