package publish

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// Watchers with a reserved place are woken before all other watchers if there are many.
func TestIndexWakesTheReservedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := testKeys(t, 1, 4)
		x := NewIndex(buildSet(t, 1, keys[0]))
		woken := func(n news) bool {
			select {
			case <-n.wake:
				return true
			default:
				return false
			}
		}
		change := func(key jwks.Key) (reserved, public bool) {
			version := x.Set().Version()
			first, rest := x.since(version, true), x.since(version, false)
			if err := x.Apply(jwks.Change{Version: version + 1, Add: []jwks.Key{key}}); err != nil {
				t.Fatal(err)
			}
			reserved, public = woken(first), woken(rest)
			<-time.After(crowdWait + 1) // of the bubble's clock
			synctest.Wait()
			if !woken(rest) {
				t.Error("a watcher of the crowd is not woken")
			}
			return reserved, public
		}
		x.watch()
		if reserved, public := change(keys[1]); !reserved || !public {
			t.Errorf("of few, woken at once: reserved %v, public %v", reserved, public)
		}
		for range crowd {
			x.watch()
		}
		if reserved, public := change(keys[2]); !reserved || public {
			t.Errorf("of a crowd, woken at once: reserved %v, public %v", reserved, public)
		}
		for range crowd + 1 {
			x.unwatch()
		}
		x.watch()
		if reserved, public := change(keys[3]); !reserved || !public {
			t.Errorf("after the crowd, woken at once: reserved %v, public %v", reserved, public)
		}
	})
}
