// Package testkit holds helpers that the tests of several packages share.
package testkit

import (
	"testing"
	"time"
)

const (
	patience = 30 * time.Second
	interval = 5 * time.Millisecond
)

// Eventually polls cond until it returns true, and fails the test after half a minute.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	Within(t, patience, what, cond)
}

// Within polls cond until it returns true, and fails the test after the duration limit.
func Within(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", limit, what)
		case <-tick.C:
		}
	}
}

// Check ends the test on an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
