package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const day = 24 * time.Hour

// page returns the workspace as this session sees it: see authz.OnPage.
func (v *visit) page() *store.Workspace { return authz.OnPage(&v.workspace, &v.session) }

// mayHave reports whether this session may make a key with these scopes. It holds for a
// successor, too: its token is shown here.
func (v *visit) mayHave(scopes []string) bool {
	page := v.page()
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !authz.OffersScope(page, scope) })
}

// full returns how many keys the owner may have, where they have as many and can make no
// more; else 0. It looks at the newest keys alone: what lies behind is for authz to see.
func (v *visit) full() (int, error) {
	most := v.workspace.Policy.KeysPerOwner
	if most == 0 || most > lookedAt {
		return 0, nil
	}
	active := 0
	err := v.newest("", func(k store.Key) {
		if k.Status(v.now()) == store.Active {
			active++
		}
	})
	if err != nil {
		return 0, err
	}
	if active < most {
		return 0, nil
	}
	return most, nil
}

// Lives of keys in seconds.
func (v *visit) maxLife() int64     { return authz.MaxLife(v.page()) }
func (v *visit) defaultLife() int64 { return authz.DefaultLife(v.page()) }

// endOf returns the last second of a day in UTC: every page then shows this day as the key's
// last one.
func endOf(date time.Time) time.Time { return date.Add(day - time.Second) }

// lastDay is the last on which a key may expire at its end, in UTC.
func (v *visit) lastDay() time.Time {
	last := v.now().UTC().Add(time.Duration(v.maxLife()) * time.Second)
	if date := last.Truncate(day); !endOf(date).After(last) {
		return date
	}
	return last.Truncate(day).Add(-day)
}

// presets are the lives that are offered: the usual ones as far as they are allowed, and
// the workspace's own default.
func (v *visit) presets() []time.Duration {
	lives := []time.Duration{time.Duration(v.defaultLife()) * time.Second}
	for _, days := range []time.Duration{7, 30, 90, 365} {
		if life := days * day; int64(life/time.Second) <= v.maxLife() {
			lives = append(lives, life)
		}
	}
	slices.Sort(lives)
	return slices.Compact(lives)
}

// onceLen is the length of what makes a form unique.
const onceLen = 22

func newOnce() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return base64.RawURLEncoding.EncodeToString(random)
}

func isOnce(text string) bool { return len(text) == onceLen }

// once makes an idempotency key that nobody else's form can have.
func (v *visit) once(text string) string {
	sum := sha256.Sum256([]byte("once" + v.workspace.ID + "\x00" + v.session.Owner + "\x00" + text))
	return "portal-" + base64.RawURLEncoding.EncodeToString(sum[:])
}
