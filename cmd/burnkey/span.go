package main

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/authz"
)

// span is a flag for a duration of whole seconds, 1 or more, or perhaps 0.
type span struct {
	text   string
	value  time.Duration
	orZero bool
}

// Set, String and Type implement pflag.Value.
func (s *span) Set(text string) error {
	value, err := authz.ParseDuration(text)
	isWhole := value >= time.Second && value%time.Second == 0
	switch {
	case s.orZero && (err != nil || value != 0 && !isWhole):
		return errors.New("must be 0, or whole seconds, such as 3600, or like 90m, 720h or 30d")
	case err != nil:
		return err
	case !s.orZero && !isWhole:
		return errors.New("must be 1 second or more, and whole seconds")
	}
	s.text, s.value = text, value
	return nil
}

func (s *span) String() string { return s.text }

// Type is the placeholder in the help text.
func (s *span) Type() string { return "DURATION" }

// interval is a flag for any duration; the command checks the bounds.
type interval time.Duration

// intervalFlag is like DurationVar, with the forms of authz.ParseDuration.
func intervalFlag(flags *pflag.FlagSet, value *time.Duration, name string, byDefault time.Duration, usage string) {
	*value = byDefault
	flags.Var((*interval)(value), name, usage)
}

// Set, String and Type implement pflag.Value.
func (i *interval) Set(text string) error {
	value, err := authz.ParseDuration(text)
	if err == nil {
		*i = interval(value)
	}
	return err
}

func (i *interval) String() string {
	if *i == 0 {
		return "0" // the help text omits a default of 0
	}
	return time.Duration(*i).String()
}

// Type is the placeholder in the help text.
func (i *interval) Type() string { return "DURATION" }
