package authz

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errDuration = errors.New("must be like 90m, 720h or 30d, or whole seconds, such as 3600")

// ParseDuration reads a duration as people write it, everywhere the same: whole seconds
// (3600), whole days of 24 hours (30d), or what time.ParseDuration reads (90m, 1h30m, 500ms). Its
// error says so, and does not repeat the text. The bounds are the caller's.
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
