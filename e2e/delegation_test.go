package e2e_test

import (
	"net/http"
	"testing"
	"time"
)

// TestE2EDelegation revokes a key with keys under it: Envoy, which knows the JWKS only, and the gateway service refuse all.
func TestE2EDelegation(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	g := startGateway(t, s, "acme")
	d := newDoor(t, s.url, "--workspace", "acme")
	d.start()
	d.ready()
	parent := admin.mustIssue(t, "acme")
	keys := []key{parent, admin.mustIssue(t, "acme", "parent", parent.ID), admin.mustIssue(t, "acme", "parent", parent.ID)}
	for _, k := range keys {
		d.until(k.Token, http.StatusOK)
		g.until(t, time.Now(), http.StatusOK, k.Token, cacheTime+slack)
	}
	admin.mustRevoke(t, parent)
	for _, k := range keys {
		d.until(k.Token, http.StatusUnauthorized)
		g.until(t, time.Now(), http.StatusUnauthorized, k.Token, cacheTime+slack)
	}
}
