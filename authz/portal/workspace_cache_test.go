package portal

import (
	"strconv"
	"testing"

	"github.com/burnkey/burnkey/store"
)

// However many workspaces are looked at, few are remembered, and the last of them is.
func TestLooksAreBounded(t *testing.T) {
	t.Parallel()
	var l looks
	for i := range 3*maxLooks + 1 {
		id := strconv.Itoa(i)
		l.put(look{Workspace: store.Workspace{ID: id}})
		if l.get(id).ID != id || len(l.known) > maxLooks {
			t.Fatalf("behind %d there are %d, %q among them", i, len(l.known), l.get(id).ID)
		}
	}
}
