package portal

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// planPage is the data of the list of plans, or of the page of one plan, each with a form.
type planPage struct {
	Plans []store.LimitSet // in the list
	Plan  store.LimitSet   // on the page of one
	Form  planForm
	pages
}

// planForm has the typed values.
type planForm struct {
	Version                           string // of the plan when the form was shown
	Name, Description, Limits, Signed string // Limits: a rule on each line
}

const plansInList = 50

var planNames = regexp.MustCompile(authz.PlanNamePattern)

func listPlans(v *visit) error {
	v.remember()
	return v.plans(http.StatusOK, v.notice("plans", "plan.deleted"), planForm{}, nil)
}

// plans shows a page of the list, and the form for a new plan.
func (v *visit) plans(status int, notice string, f planForm, bad faults) error {
	var after authz.LimitsID
	if name := v.r.URL.Query().Get("after"); planNames.MatchString(name) {
		after = authz.LimitsID{On: jwks.OnPlan, Name: name}
	}
	plans, next, err := v.service.LimitSets(v.context(), v.workspace.ID, []string{jwks.OnPlan}, after, plansInList)
	if err != nil {
		return err
	}
	p := &planPage{Plans: plans, Form: f, pages: pages{First: after.Name == ""}}
	if next.Name != "" {
		p.Next = query("after", next.Name)
	}
	return v.renderView(status, &view{Page: "plans", Title: v.language.Text("plans.title"), Notice: notice, Content: p, Faults: bad})
}

func createPlan(v *visit) error {
	f, limits, bad := v.readPlan()
	if len(bad) == 0 {
		_, err := v.service.CreateLimits(v.context(), v.workspace.ID, authz.LimitsRequest{
			On: jwks.OnPlan, Name: f.Name, Description: f.Description, Limits: limits, Signed: f.Signed,
		})
		if err == nil {
			return v.redirect(v.path("operator", "plans", f.Name) + v.done("plan.saved", f.Name))
		}
		var status int
		if status, bad = v.planFaults(err); bad == nil {
			return err
		}
		return v.plans(status, "", f, bad)
	}
	return v.plans(http.StatusUnprocessableEntity, "", f, bad)
}

// plan returns the plan in the path.
func (v *visit) plan() (store.LimitSet, error) {
	name := v.r.PathValue("name")
	if !planNames.MatchString(name) {
		return store.LimitSet{}, errNowhere
	}
	return v.service.Limits(v.r.Context(), v.workspace.ID, jwks.OnPlan, name)
}

func showPlan(v *visit) error {
	l, err := v.plan()
	if err != nil {
		return err
	}
	v.remember()
	return v.planAgain(http.StatusOK, l, v.notice(l.Name, "plan.saved"), planFormOf(&l), nil)
}

func (v *visit) planAgain(status int, l store.LimitSet, notice string, f planForm, bad faults) error {
	f.Version = planVersion(&l)
	return v.renderView(status, &view{Page: "plan", Title: l.Name, Notice: notice, Content: &planPage{Plan: l, Form: f}, Faults: bad})
}

func planVersion(l *store.LimitSet) string { return version([]any{l.Limits, l.Description, l.Signed}) }

// planFormOf returns the form filled with a plan.
func planFormOf(l *store.LimitSet) planForm {
	lines := make([]string, len(l.LimitSet.Limits))
	for i, limit := range l.LimitSet.Limits {
		period := limit.Calendar
		if period == "" {
			period = strconv.FormatUint(uint64(limit.Seconds), 10)
		}
		lines[i] = limit.Name + " " + strconv.FormatUint(uint64(limit.Requests), 10) + " " + period
	}
	return planForm{Name: l.Name, Description: l.Description, Limits: strings.Join(lines, "\n"), Signed: l.Signed}
}

// savePlan stores the form, unless somebody else changed the plan after the form was shown.
func savePlan(v *visit) error {
	l, err := v.plan()
	if err != nil {
		return err
	}
	f, limits, bad := v.readPlan()
	if len(bad) > 0 {
		return v.planAgain(http.StatusUnprocessableEntity, l, "", f, bad)
	}
	_, err = v.service.UpdateLimits(v.context(), v.workspace.ID, jwks.OnPlan, l.Name, func(l *store.LimitSet) error {
		if planVersion(l) != f.Version {
			return errMeanwhile
		}
		l.LimitSet.Limits, l.Description, l.Signed = limits, f.Description, f.Signed
		return nil
	})
	if err == nil {
		return v.redirect(v.path("operator", "plans", l.Name) + v.done("plan.saved", l.Name))
	}
	status, bad := v.planFaults(err)
	if bad == nil {
		return err
	}
	if l, err = v.plan(); err != nil {
		return err
	}
	return v.planAgain(status, l, "", f, bad)
}

func deletePlan(v *visit) error {
	l, err := v.plan()
	if err != nil {
		return err
	}
	switch err = v.service.DeleteLimits(v.context(), v.workspace.ID, jwks.OnPlan, l.Name); {
	case errors.Is(err, authz.ErrInUse):
		return v.planAgain(http.StatusConflict, l, "", planFormOf(&l), v.fault("", "fault.plan.inuse"))
	case errors.Is(err, authz.ErrInherited):
		return v.planAgain(http.StatusConflict, l, "", planFormOf(&l), v.fault("", "fault.plan.inherited"))
	case err != nil:
		return err
	}
	return v.redirect(v.path("operator", "plans") + v.done("plan.deleted", "plans"))
}

// planFaults returns the faults that the person can correct, or nil, and the status of the page with them.
func (v *visit) planFaults(err error) (status int, bad faults) {
	var (
		input authz.InputError
		full  *authz.LimitsFullError
	)
	switch {
	case errors.As(err, &input):
		return http.StatusUnprocessableEntity, v.faultsOf(input)
	case errors.Is(err, authz.ErrPlanExists):
		return http.StatusConflict, v.fault("name", "fault.plan.exists")
	case errors.As(err, &full):
		return http.StatusConflict, v.fault("", "fault.plan.full", "n", full.Most)
	case errors.Is(err, errMeanwhile):
		return http.StatusConflict, v.fault("", "fault.plan.meanwhile")
	}
	return 0, nil
}

// readPlan reads the form. A field with a token is a fault, and so is a line that is not a rule.
func (v *visit) readPlan() (f planForm, limits []jwks.Limit, bad faults) {
	from := v.r.PostForm
	text := func(name string) string { return v.tokenless(from, name, name, &bad) }
	f = planForm{
		Version: from.Get("version"), Name: text("name"), Description: text("description"),
		Limits: strings.ReplaceAll(text("limits"), "\r\n", "\n"), Signed: text("signed"),
	}
	n := 0
	for line := range strings.Lines(f.Limits) {
		if n++; strings.TrimSpace(line) == "" {
			continue
		}
		limit, ok := limitIn(line)
		if !ok {
			return f, nil, append(bad, v.fault("limits", "fault.limits.line", "n", n)...)
		}
		if limits = append(limits, limit); len(limits) > authz.MaxLimits {
			break // authz refuses them
		}
	}
	return f, limits, bad
}

// limitIn parses a rule: its name, the number of requests, and seconds or a calendar period.
func limitIn(line string) (l jwks.Limit, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return l, false
	}
	requests := numberIn(fields[1])
	if l = (jwks.Limit{Name: fields[0], Requests: uint32(max(0, requests))}); requests < 1 {
		return l, false
	}
	switch period := fields[2]; period {
	case jwks.Day, jwks.Week, jwks.Month:
		l.Calendar = period
	default:
		seconds := numberIn(period)
		if l.Seconds = uint32(max(0, seconds)); seconds < 1 {
			return l, false
		}
	}
	return l, true
}

// toPlan redirects from a form's address, for example after a reload, to the plan's page.
func toPlan(v *visit) error {
	name := v.r.PathValue("name")
	if !planNames.MatchString(name) {
		return errNowhere
	}
	return v.redirect(v.path("operator", "plans", name))
}
