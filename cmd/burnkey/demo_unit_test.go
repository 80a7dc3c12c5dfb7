package main

import (
	"io"
	"testing"
)

// The demonstration runs the server with settings that serve takes, whatever flags serve has.
func TestDemoServerIsValid(t *testing.T) {
	s := demoServer(t.TempDir(), io.Discard)
	if err := s.validate(); err != nil {
		t.Error(err)
	}
}
