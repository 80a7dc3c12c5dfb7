package authz

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// longest is the largest number of whole seconds in a time.Duration.
const longest = math.MaxInt64 / time.Second * time.Second

var (
	errDuration = errors.New("must be like 90m, 720h or 30d, or whole seconds, such as 3600")
	ofUnits     = regexp.MustCompile(`^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`)
)

// ParseDuration reads a duration in the forms that all of Burnkey accepts: whole seconds (3600), days of 24
// hours (30d), or the syntax of time.ParseDuration (90m, 1h30m, 500ms). The error names these forms and does
// not quote the input. Callers check the bounds: a duration of more than 292 years, which a time.Duration can't
// hold, becomes the longest one.
func ParseDuration(text string) (time.Duration, error) {
	if seconds, ok := wholeNumber(text); ok {
		return times(seconds, time.Second), nil
	}
	if count, isDays := strings.CutSuffix(text, "d"); isDays {
		if days, ok := wholeNumber(count); ok {
			return times(days, 24*time.Hour), nil
		}
		return 0, errDuration
	}
	d, err := time.ParseDuration(text)
	switch {
	case err == nil:
		return d, nil
	case !ofUnits.MatchString(text):
		return 0, errDuration
	case strings.HasPrefix(text, "-"):
		return -longest, nil
	}
	return longest, nil
}

// wholeNumber parses a number. A number that is out of range becomes the largest or smallest int64.
func wholeNumber(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}

// times returns n units, or longest.
func times(n int64, unit time.Duration) time.Duration {
	most := int64(longest / unit)
	switch {
	case n > most:
		return longest
	case n < -most:
		return -longest
	}
	return time.Duration(n) * unit
}

// words formats a duration, in whole days or hours if possible.
func words(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}
