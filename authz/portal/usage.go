package portal

import (
	"errors"
	"time"

	"github.com/burnkey/burnkey/authz"
)

// Reported reports whether gateways report the use of the workspace's keys. If not, pages do not mention
// usage.
func (p *view) Reported() bool { return !p.visit.workspace.Usage.At.IsZero() }

// Ago formats how long ago a time was.
func (p *view) Ago(t time.Time) string { return p.visit.language.Ago(p.visit.now().Sub(t)) }

// Minute formats a time like Machine, but to the minute.
func (p *view) Minute(t time.Time) string { return t.UTC().Format("2006-01-02T15:04Z") }

// UnusedSince returns the time since which a use of the key would have been reported.
func (p *view) UnusedSince(k shownKey) time.Time {
	if since := p.visit.workspace.Usage.Since; since.After(k.CreatedAt) {
		return since
	}
	return k.CreatedAt
}

// mostDays is the longest time, in days, for which unused keys can be selected.
const mostDays = authz.MaxExpiresIn / int(day/time.Second)

// daysOf parses a number of days. An empty string means 0.
func daysOf(text string) (d time.Duration, ok bool) {
	n := numberIn(text)
	return time.Duration(n) * day, n >= 0 && n <= int64(mostDays)
}

// usageFault returns the fault if err says why unused keys are unknown, or nil.
func (v *visit) usageFault(err error) faults {
	var e *authz.UsageError
	switch {
	case !errors.As(err, &e):
		return nil
	case e.At.IsZero():
		return v.fault("unused", "fault.unused.none")
	case e.Silent:
		return v.fault("unused", "fault.unused.silent", "moment", v.language.Moment(e.At))
	}
	return v.fault("unused", "fault.unused.since", "moment", v.language.Moment(e.Since))
}
