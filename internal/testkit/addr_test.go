package testkit

import "testing"

// So many ports are taken that some would be the same if they were not held.
func TestFreePort(t *testing.T) {
	seen := make(map[int]bool)
	for range 500 {
		port, release, err := FreePort()
		Check(t, err)
		t.Cleanup(func() { _ = release() })
		if seen[port] {
			t.Fatalf("the port %d was given twice", port)
		}
		seen[port] = true
	}
}
