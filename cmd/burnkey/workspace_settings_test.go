package main

import (
	"testing"
	"time"
)

// A lifetime is shown in the form that flags accept.
func TestLife(t *testing.T) {
	for seconds, want := range map[int64]string{
		1: "1s", 60: "1m", 61: "61s", 5400: "90m", 3600: "1h", 129600: "36h", 86400: "1d", 315360000: "3650d",
	} {
		var s span
		if got := life(seconds); got != want || s.Set(got) != nil || s.value != time.Duration(seconds)*time.Second {
			t.Errorf("%d s: %s, which is taken for %s", seconds, got, s.value)
		}
	}
}
