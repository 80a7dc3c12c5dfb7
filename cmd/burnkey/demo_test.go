package main

import (
	"io"
	"testing"
)

// The demo's settings are valid for serve, whatever flags serve has.
func TestDemoServerIsValid(t *testing.T) {
	s := demoServer(t.TempDir(), io.Discard)
	if err := s.validate(); err != nil {
		t.Error(err)
	}
}
