package portal

import (
	"errors"
	"strconv"
	"time"

	"github.com/burnkey/burnkey/authz"
)

// Reported says whether anybody reports the use of the workspace's keys. Where nobody does,
// pages say nothing of it.
func (p *view) Reported() bool { return !p.visit.workspace.Usage.At.IsZero() }

// Ago says how long ago a time was.
func (p *view) Ago(t time.Time) string { return p.visit.language.Ago(p.visit.now().Sub(t)) }

// Minute is a time for programs, as Machine, to the minute.
func (p *view) Minute(t time.Time) string { return t.UTC().Format("2006-01-02T15:04Z") }

// UnusedSince is since when a key that has not been used would have been seen.
func (p *view) UnusedSince(k shownKey) time.Time {
	if since := p.visit.workspace.Usage.Since; since.After(k.CreatedAt) {
		return since
	}
	return k.CreatedAt
}

// mostDays is the longest time for which keys can be asked to have been unused.
const mostDays = authz.MaxExpiresIn / int(day/time.Second)

// daysOf reads a number of days; none is 0.
func daysOf(text string) (d time.Duration, ok bool) {
	if text == "" {
		return 0, true
	}
	n, err := strconv.Atoi(text)
	return time.Duration(n) * day, err == nil && n >= 1 && n <= mostDays
}

// usageFault says why it can't be told which keys are unused, if that is what err says.
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
