package portal

import (
	"strconv"
	"testing"

	"github.com/burnkey/burnkey/store"
)

// The cache holds a limited number of workspaces, and always the one added last.
func TestLooksAreBounded(t *testing.T) {
	t.Parallel()
	var l looks
	for i := range 3*maxLooks + 1 {
		id := strconv.Itoa(i)
		l.put(look{Workspace: store.Workspace{ID: id}})
		if l.get(id).ID != id || len(l.known) > maxLooks {
			t.Fatalf("after %d there are %d, with %q", i, len(l.known), l.get(id).ID)
		}
	}
}
