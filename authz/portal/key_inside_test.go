package portal

import (
	"testing"

	"github.com/burnkey/burnkey/store"
)

// A typed name confirms, even if the keyboard composes characters differently.
func TestNamesComposesCharacters(t *testing.T) {
	t.Parallel()
	const composed, decomposed = "Caf\u00e9", "Cafe\u0301"
	for _, name := range []string{composed, decomposed} {
		k := shownKey{Key: store.Key{Name: name}}
		if !names(k, composed) || !names(k, decomposed) || names(k, "Cafe") {
			t.Errorf("%+q: named by both: %t, %t; by another: %t", name, names(k, composed), names(k, decomposed), names(k, "Cafe"))
		}
	}
}
