package main

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-31T12:00:00Z": "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00": "2026-01-31T11:00:00.5Z", "2026-01-31": "2026-01-31T00:00:00Z",
		"": "", "2026-1-31": "", "2026-02-30": "", "2026-01-31 12:00": "", "yesterday": "", "-1d": "",
	} {
		m := moment{text: "before"}
		err := m.Set(text)
		at, _ := time.Parse(time.RFC3339Nano, want) // else the zero time
		if (err == nil) != (want != "") || !m.at.Equal(at) || m.at.Location() != time.UTC || err != nil && m.text != "before" {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	}
	var ago moment
	before := time.Now()
	if err := ago.Set("30d"); err != nil || ago.at.Before(before.Add(-720*time.Hour)) || ago.at.After(time.Now().Add(-720*time.Hour)) {
		t.Errorf("30d ago was %s, %v", ago.at, err)
	}
}
