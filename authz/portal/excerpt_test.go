package portal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// worst returns metadata that earlier versions accepted and that indentation would make many times
// longer.
func worst() []string {
	const n = 8000
	return []string{
		`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`,
		strings.Repeat(`{"":`, 2700) + "1" + strings.Repeat("}", 2700),
		`{"a":` + strings.Repeat("[", 5000) + strings.Repeat("1,", 1000) + "1" + strings.Repeat("]", 5000) + `}`,
		`{"a":"` + strings.Repeat("<", 2*n) + `"}`,
		`{"a":[` + strings.Repeat(`"",`, n/2) + `""]}`,
	}
}

// For metadata stored by versions without a limit, a page is at most a small multiple of the metadata's
// size.
func TestPagesOfTheWorstThatIsStored(t *testing.T) {
	t.Parallel()
	const most = 4 << 20 // bytes
	s := newSite(t)
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Name: "Shop"})
	for i := range 50 {
		metadata := worst()[i%len(worst())]
		_, err := s.store.UpdateKey(t.Context(), "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
			k.Name, k.Metadata = fmt.Sprint("Shop ", i), []byte(metadata)
			return nil
		})
		check(t, err)
	}
	v := s.operator("acme")
	for _, path := range []string{
		"/portal/acme/operator/keys/" + k.ID.String(), auditPath, auditPath + ".csv", auditPath + ".json", "/portal/acme/operator/keys",
		"/portal/acme/operator/revoke?owner=cust_1",
	} {
		if p := v.get(path).want(200); len(p.body) > most {
			t.Errorf("%s: %d bytes", path, len(p.body))
		}
	}
	for _, metadata := range worst() { // the page shows at least the start of the metadata
		_, err := s.store.UpdateKey(t.Context(), "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
			k.Metadata = []byte(metadata)
			return nil
		})
		check(t, err)
		v.get("/portal/acme/operator/keys/" + k.ID.String()).want(200).has(metadata[:1000])
	}
}

func TestExcerpts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := s.issue("acme", authz.IssueRequest{Owner: "cust_1", Metadata: []byte(`{"a":{"b":[1,2]}}`)})
	v := s.operator("acme")
	path := "/portal/acme/operator/keys/" + k.ID.String()
	if p := v.get(path).want(200); !strings.Contains(p.body, "{\n  &#34;a&#34;: {\n    &#34;b&#34;: [\n      1,") {
		t.Errorf("it is not indented: %s", p.body)
	}
	_, err := s.store.UpdateKey(t.Context(), "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
		k.Metadata = []byte(`{"a":"` + strings.Repeat("é", 20_000) + `"}`)
		return nil
	})
	check(t, err)
	v.get(path).want(200).has("é…", "7240 more bytes are not shown here")
}
