package language

import (
	"strconv"
	"time"
)

const day = 24 * time.Hour

// Day formats a date in UTC and names the time zone.
func (l *Language) Day(t time.Time) string { return l.Text("day", "date", l.date(t)) }

func (l *Language) date(t time.Time) string {
	t = t.UTC()
	month := l.Text("month." + strconv.Itoa(int(t.Month())))
	return l.Text("date", "day", t.Day(), "month", month, "year", t.Year())
}

// Moment formats a time in UTC to the minute.
func (l *Language) Moment(t time.Time) string {
	return l.Text("moment", "date", l.date(t), "time", t.UTC().Format("15:04"))
}

// Until formats how long it is until something happens, rounded as on the command line: a new key for 90
// days has 90 days left, not 89.
func (l *Language) Until(d time.Duration) string {
	unit := day
	switch {
	case d <= 0:
		return l.Text("until.past")
	case d < time.Minute:
		return l.Text("until.soon")
	case d < 2*time.Hour:
		unit = time.Minute
	case d < 2*day:
		unit = time.Hour
	}
	return l.Count(roughly("until.", d.Round(unit)))
}

// Ago formats how long ago something happened, rounded down.
func (l *Language) Ago(d time.Duration) string {
	if d < time.Minute {
		return l.Text("ago.now")
	}
	return l.Count(roughly("ago.", d))
}

// Life says how long something lasts.
func (l *Language) Life(d time.Duration) string {
	if d < time.Minute {
		return l.Count("life.seconds", int(d/time.Second))
	}
	return l.Count(roughly("life.", d))
}

// roughly returns a duration's message key and number, in the largest unit of which there are at least
// two or a whole number.
func roughly(prefix string, d time.Duration) (key string, n int) {
	switch {
	case d >= 2*day || d%day == 0:
		return prefix + "days", int(d / day)
	case d >= 2*time.Hour || d%time.Hour == 0:
		return prefix + "hours", int(d / time.Hour)
	}
	return prefix + "minutes", int(d / time.Minute)
}
