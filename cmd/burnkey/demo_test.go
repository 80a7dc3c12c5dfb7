package main

import (
	"io"
	"testing"
)

// The demo's settings pass the validation of serve.
func TestDemoServerIsValid(t *testing.T) {
	s := demoServer(t.TempDir(), io.Discard)
	if err := s.validate(); err != nil {
		t.Error(err)
	}
}
