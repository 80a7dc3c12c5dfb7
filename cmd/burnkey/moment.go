package main

import (
	"errors"
	"time"
)

// moment is a flag for a time, which may also be given as a day or as an age.
type moment struct {
	text string
	at   time.Time
}

// Set, String and Type implement pflag.Value.
func (m *moment) Set(text string) error {
	var ago span
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			m.text, m.at = text, at.UTC()
			return nil
		}
	}
	if ago.Set(text) != nil {
		return errors.New("must be like 2026-01-31T12:00:00Z, 2026-01-31 (its beginning, in UTC), or 30d for an age")
	}
	m.text, m.at = text, time.Now().UTC().Add(-ago.value)
	return nil
}

func (m *moment) String() string { return m.text }

// Type is the placeholder in the help text.
func (m *moment) Type() string { return "TIME" }
