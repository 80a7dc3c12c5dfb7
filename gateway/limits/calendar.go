package limits

import (
	"time"

	"github.com/burnkey/burnkey/jwks"
)

const secondsPerDay = 24 * 60 * 60

// calendars are the kinds of periods, by their number in a word.
var calendars = [3]string{jwks.Day, jwks.Week, jwks.Month}

// kindOf returns the number of a calendar that jwks accepts.
func kindOf(name string) int {
	switch name[0] {
	case 'd':
		return 0
	case 'w':
		return 1
	}
	return 2
}

// A period is [first, end) in days since 1970 (UTC).
type period struct{ first, end uint64 }

// periodOf returns the period that a day is in.
func periodOf(kind int, day uint64) period {
	switch calendars[kind] {
	case jwks.Day:
		return period{day, day + 1}
	case jwks.Week: // from Monday to Sunday; day 0 was a Thursday
		monday := day - min(day, (day+3)%7)
		return period{monday, monday + 7}
	}
	date := time.Unix(int64(day)*secondsPerDay, 0).UTC()
	first := time.Date(date.Year(), date.Month(), 1, 0, 0, 0, 0, time.UTC)
	return period{uint64(first.Unix()) / secondsPerDay, uint64(first.AddDate(0, 1, 0).Unix()) / secondsPerDay}
}

// A calendar has the current periods of one day.
type calendar struct {
	day     uint64
	periods [len(calendars)]period
}

// isEarly reports whether a period's first day is the next day: the clock was set back over the period's start, by
// less than a day.
func (c *calendar) isEarly(first uint64) bool { return first == c.day+1 }

// calendar returns the calendar of a time. It computes one only when the day changes.
func (l *Local) calendar(now time.Time) *calendar {
	day := uint64(max(0, now.Unix())) / secondsPerDay
	if today := l.today.Load(); today != nil && today.day == day {
		return today
	}
	c := &calendar{day: day}
	for kind := range c.periods {
		c.periods[kind] = periodOf(kind, day)
	}
	l.today.Store(c)
	return c
}
