package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// Values of the field environment, which is kept as metadata and says nothing to a
// gateway.
var environments = []string{"live", "test"}

// Values of the field expiry beside a number of seconds.
const (
	expiryDate  = "date"
	expiryNever = "never"
)

// createForm is what somebody typed, and what they may choose from.
type createForm struct {
	Name        string
	Scopes      []string
	Expiry      string
	Date        string // yyyy-mm-dd
	Environment string
	Once        string // one of these makes one key, however often it is sent

	Offered      []store.OfferedScope
	Presets      []time.Duration
	Never        bool   // it may never expire
	First, Last  string // days that Date may be
	Environments []string
	Full         int // see full
}

// Has says whether a scope is ticked.
func (f *createForm) Has(scope string) bool { return slices.Contains(f.Scopes, scope) }

// Life says how long a preset is.
func (p *view) Life(d time.Duration) string { return p.visit.language.Life(d) }

// Seconds is a preset's value.
func (p *view) Seconds(d time.Duration) int64 { return int64(d / time.Second) }

func newKey(v *visit) error {
	v.remember()
	f := v.emptyForm()
	var err error
	if f.Full, err = v.full(); err != nil {
		return err
	}
	f.Expiry, f.Environment, f.Once = strconv.FormatInt(v.defaultLife(), 10), environments[0], newOnce()
	return v.render(http.StatusOK, "new", "new.title", f)
}

func (v *visit) emptyForm() *createForm {
	f := &createForm{
		Never: authz.MayNeverExpire(v.page()), Offered: authz.ScopesOffered(&v.workspace, &v.session),
		Presets: v.presets(), Environments: environments,
	}
	f.First, f.Last = v.now().UTC().Format(time.DateOnly), v.lastDay().Format(time.DateOnly)
	return f
}

func createKey(v *visit) error {
	f := v.emptyForm()
	given := v.r.PostForm
	f.Name = strings.TrimSpace(given.Get("name"))
	f.Scopes, f.Expiry, f.Date = given["scopes"], given.Get("expiry"), given.Get("date")
	f.Environment, f.Once = given.Get("environment"), given.Get("once")
	r, bad := v.request(f)
	if len(bad) > 0 {
		return v.createAgain(http.StatusUnprocessableEntity, f, bad)
	}
	issued, err := v.service.Issue(v.context(), v.workspace.ID, r)
	if err != nil {
		return v.notCreated(f, err)
	}
	return v.showIssued(issued, nil)
}

// notCreated shows the form once more where something can be done about it.
func (v *visit) notCreated(f *createForm, err error) error {
	var input authz.InputError
	switch {
	case errors.As(err, &input):
		return v.createAgain(http.StatusUnprocessableEntity, f, v.faultsOf(input))
	case errors.Is(err, authz.ErrTooMany):
		text := v.language.Count("fault.many", v.workspace.Policy.KeysPerOwner)
		return v.createAgain(http.StatusConflict, f, faults{{"", text}})
	case errors.Is(err, authz.ErrBusy):
		v.retryAfter(authz.RetryAfter(err))
		return v.createAgain(http.StatusServiceUnavailable, f, v.fault("", "fault.busy"))
	}
	return err
}

func (v *visit) createAgain(status int, f *createForm, bad faults) error {
	return v.renderView(status, &view{Page: "new", Title: v.language.Text("new.title"), Content: f, Faults: bad})
}

// request turns a form into a request, or returns what is wrong with it. The rules for keys are
// authz's; here a key also needs a name, by which its owner recognizes it.
func (v *visit) request(f *createForm) (r authz.IssueRequest, bad faults) {
	wrong := func(field, key string) { bad = append(bad, v.fault(field, key)...) }
	r = authz.IssueRequest{Owner: v.session.Owner, Name: f.Name, Scopes: f.Scopes, IdempotencyKey: v.once(f.Once), Session: &v.session}
	if f.Name == "" {
		wrong("name", "fault.name.empty")
	}
	if key := v.expiry(f, &r); key != "" {
		wrong("expiry", key)
	}
	if !slices.Contains(f.Environments, f.Environment) {
		wrong("environment", "fault.environment")
	}
	if !isOnce(f.Once) {
		wrong("", "fault.form")
	}
	// It can't fail: it is one of our words.
	r.Metadata, _ = json.Marshal(map[string]string{"environment": f.Environment})
	return r, bad
}

// expiry reads how long a key lives, or returns the message of what can't be read.
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
