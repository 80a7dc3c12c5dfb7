package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// span is a flag for a time of whole seconds, which people give in days, too.
type span struct {
	text  string
	value time.Duration
}

// Set, String and Type are pflag's.
func (s *span) Set(text string) error {
	seconds, err := strconv.ParseInt(text, 10, 32)
	days, daysErr := strconv.ParseInt(strings.TrimSuffix(text, "d"), 10, 16)
	value := time.Duration(0)
	switch {
	case err == nil:
		value = time.Duration(seconds) * time.Second
	case daysErr == nil:
		value = time.Duration(days) * 24 * time.Hour
	default:
		if value, err = time.ParseDuration(text); err != nil {
			return errors.New("must be seconds, such as 3600, or like 90m, 720h or 30d")
		}
	}
	if value < time.Second || value%time.Second != 0 {
		return errors.New("must be 1 second or more, and whole seconds")
	}
	s.text, s.value = text, value
	return nil
}

func (s *span) String() string { return s.text }

// Type is the placeholder in the help text.
func (s *span) Type() string { return "DURATION" }
