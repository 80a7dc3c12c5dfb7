package main

import (
	"io"
	"testing"
)

// The demo's settings pass the validation of serve and of gateway.
func TestDemoIsValid(t *testing.T) {
	s := demoServer(t.TempDir(), io.Discard)
	if err := s.validate(); err != nil {
		t.Error(err)
	}
	g := demoGateway("http://127.0.0.1:8080", io.Discard)
	if err := g.validate(); err != nil {
		t.Error(err)
	}
}
