package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// A page shows a notice only if this session has just taken that action on that key.
func TestNoticesAreTrue(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.owner("acme", "cust_1")
	k, other := v.create(), v.create()
	const said = "Name saved."
	to := v.post(keyPath(k), keyPath(k, "name"), url.Values{"name": {"Shop"}}).want(http.StatusSeeOther).saysDone(keyPath(k), "named")
	v.get(to).want(200).has(said)
	query := strings.TrimPrefix(to, keyPath(k))
	for name, c := range map[string]struct {
		v    *visitor
		path string
	}{
		"by hand":                {v, keyPath(k) + "?done=named"},
		"of another key":         {v, keyPath(other) + query},
		"of another deed":        {v, strings.Replace(to, "done=named", "done=revoked", 1)},
		"of another time":        {v, strings.Replace(to, "at=", "at=1", 1)},
		"in another session":     {s.owner("acme", "cust_1"), to},
		"without its seal":       {v, strings.Replace(to, "seal=", "seal=x", 1)},
		"with more seals before": {v, strings.Replace(to, "seal=", "seal=&seal=", 1)},
	} {
		c.v.get(c.path).want(200).hasNot(said, "Gateways reject")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	s.advance(2 * time.Minute)
	v.get(to).want(200).hasNot(said)

	staff := s.operator("acme")
	staff.get(anyPath(k) + "?done=revoked").want(200).hasNot("Gateways reject")
	if s.status(k) != store.Active {
		t.Error("the key is revoked")
	}
	own := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Mine"})
	revoked := staff.post(anyPath(own), anyPath(own, "revoke"), url.Values{"confirm": {"Mine"}}).want(303).saysDone(anyPath(own), "revoked")
	staff.get(revoked).want(200).has("Key revoked.")
}
