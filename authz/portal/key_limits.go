package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const day = 24 * time.Hour

// page returns the workspace as restricted by an owner's session (see authz.OnPage), or unrestricted for operators.
func (v *visit) page() *store.Workspace {
	if isOperator(&v.session) {
		return &v.workspace
	}
	return authz.OnPage(&v.workspace, &v.session)
}

// mayHave reports whether this session may issue or rotate a key with these scopes.
func (v *visit) mayHave(scopes []string) bool {
	page := v.page()
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !authz.OffersScope(page, scope) })
}

// full returns the owner's limit of keys if it is reached, or 0. Only the newest keys are counted; authz,
// which enforces the limit, counts all.
func (v *visit) full() (int, error) {
	most := v.workspace.Policy.KeysPerOwner
	if most == 0 || most > lookedAt {
		return 0, nil
	}
	active := 0
	err := v.newest("", func(k store.Key) {
		switch k.Status(v.now()) {
		case store.Active:
			active++
		case store.Suspended:
			if k.RotatedTo == uuid.Nil {
				active++
			}
		}
	})
	if err != nil || active < most {
		return 0, err
	}
	return most, nil
}

// maxLife and defaultLife are the maximum and default lifetimes of keys in seconds.
func (v *visit) maxLife() int64     { return authz.MaxLife(v.page()) }
func (v *visit) defaultLife() int64 { return authz.DefaultLife(v.page()) }

// endOf returns the last second of a day in UTC, so that every page shows this day as the key's last.
func endOf(date time.Time) time.Time { return date.Add(day - time.Second) }

// lastDay returns the latest day in UTC at whose end a key may expire.
func (v *visit) lastDay() time.Time {
	last := v.now().UTC().Add(time.Duration(v.maxLife()) * time.Second)
	if date := last.Truncate(day); !endOf(date).After(last) {
		return date
	}
	return last.Truncate(day).Add(-day)
}

// presets returns the lifetimes to choose from: the usual ones that are allowed, and the workspace's
// default.
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

// onceLen is the length of the random string in each form; see once.
const onceLen = 22

func newOnce() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	return base64.RawURLEncoding.EncodeToString(random)
}

func isOnce(text string) bool { return len(text) == onceLen }

// once returns the idempotency key for a form's random string, so that a form sent twice issues one key.
// Forms of different owners never have the same idempotency key.
func (v *visit) once(text string) string {
	sum := sha256.Sum256([]byte("once" + v.workspace.ID + "\x00" + v.session.Owner + "\x00" + text))
	return "portal-" + base64.RawURLEncoding.EncodeToString(sum[:])
}
