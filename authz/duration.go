package authz

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errDuration = errors.New("must be like 90m, 720h or 30d, or whole seconds, such as 3600")

// ParseDuration reads a duration in the forms that every part of Burnkey takes: whole seconds
// (3600), days of 24 hours (30d), or the syntax of time.ParseDuration (90m, 1h30m, 500ms). The
// error names these forms and does not repeat the text. Callers check the bounds.
func ParseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	if count, isDays := strings.CutSuffix(text, "d"); isDays {
		days, err := strconv.ParseInt(count, 10, 16)
		if err != nil {
			return 0, errDuration
		}
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errDuration
	}
	return d, nil
}
