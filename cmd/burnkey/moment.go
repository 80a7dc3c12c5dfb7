package main

import (
	"errors"
	"time"
)

// moment is a flag for a time, which people give as a day or as so long ago, too.
type moment struct {
	text string
	at   time.Time
}

// Set, String and Type are pflag's.
func (m *moment) Set(text string) error {
	var ago span
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			m.text, m.at = text, at.UTC()
			return nil
		}
	}
	if ago.Set(text) != nil {
		return errors.New("must be like 2026-01-31T12:00:00Z, 2026-01-31 (its beginning, in UTC), or 30d for so long ago")
	}
	m.text, m.at = text, time.Now().UTC().Add(-ago.value)
	return nil
}

func (m *moment) String() string { return m.text }

// Type is the placeholder in the help text.
func (m *moment) Type() string { return "TIME" }

// query is as the API takes it; empty where none was given.
func (m *moment) query() string {
	if m.at.IsZero() {
		return ""
	}
	return m.at.Format(time.RFC3339Nano)
}
