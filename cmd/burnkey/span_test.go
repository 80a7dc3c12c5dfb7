package main

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1": time.Second, "3600": time.Hour, "90m": 90 * time.Minute, "720h": 720 * time.Hour, "30d": 720 * time.Hour, "1h30m": 90 * time.Minute,
		"": 0, "0": 0, "-1": 0, "0d": 0, "-1d": 0, "d": 0, "1.5d": 0, "1.5s": 0, "500ms": 0, "1w": 0, "1d12h": 0, "x": 0,
	} {
		s := span{text: "before", value: time.Minute}
		err := s.Set(text)
		if want == 0 && (err == nil || s != span{text: "before", value: time.Minute}) || want != 0 && (err != nil || s != span{text: text, value: want}) {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}
