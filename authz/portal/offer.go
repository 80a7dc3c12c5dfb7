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

// offered returns the scopes that keys made in this session may have. Any says that
// neither the workspace nor the session has a list of them.
func (v *visit) offered() (scopes []store.OfferedScope, any bool) {
	policy, allowed := v.workspace.Policy.Scopes, v.session.ScopesAllowed
	switch {
	case allowed == nil:
		return policy, len(policy) == 0
	case len(policy) == 0:
		for _, name := range allowed {
			scopes = append(scopes, store.OfferedScope{Name: name})
		}
		return scopes, false
	}
	for _, scope := range policy {
		if slices.Contains(allowed, scope.Name) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, false
}

// mayHave reports whether this session may make a key with these scopes. It holds for a
// successor, too: its token is shown here.
func (v *visit) mayHave(scopes []string) bool {
	offered, any := v.offered()
	return any || !slices.ContainsFunc(scopes, func(scope string) bool {
		return !slices.ContainsFunc(offered, func(o store.OfferedScope) bool { return o.Name == scope })
	})
}

// full returns how many keys the owner may have, where they have as many and can make no
// more; else 0. It looks at the newest keys alone: what lies behind is for authz to see.
func (v *visit) full() (int, error) {
	most := v.workspace.Policy.KeysPerOwner
	if most == 0 || most > lookedAt {
		return 0, nil
	}
	keys, err := v.service.Keys(v.r.Context(), v.workspace.ID, store.Filter{Owner: v.session.Owner, Limit: lookedAt})
	if err != nil {
		return 0, err
	}
	active := 0
	for _, k := range keys {
		if k.Status(v.now()) == store.Active {
			active++
		}
	}
	if active < most {
		return 0, nil
	}
	return most, nil
}

// maxLife and defaultLife are in seconds, as authz has them.
func (v *visit) maxLife() int64 {
	if most := v.workspace.Policy.MaxExpiresIn; most > 0 {
		return most
	}
	return authz.MaxExpiresIn
}

func (v *visit) defaultLife() int64 {
	if life := v.workspace.Policy.DefaultExpiresIn; life > 0 {
		return life
	}
	return min(authz.DefaultExpiresIn, v.maxLife())
}

// lastDay is the last on which a key may expire at its end, in UTC.
func (v *visit) lastDay() time.Time {
	end := v.now().UTC().Add(time.Duration(v.maxLife()) * time.Second)
	return end.Truncate(day).Add(-day)
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
