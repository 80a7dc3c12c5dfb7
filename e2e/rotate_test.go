package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// rotated is an old key, with the time by which it must leave the set.
type rotated struct {
	kid  string
	ends time.Time
}

// rotate rotates a key with a grace.
func (c *client) rotate(workspace, id string, grace time.Duration) (successor key, old rotated, err error) {
	path := "/v1/workspaces/" + workspace + "/keys/" + id
	if err := c.call(http.MethodPost, path+"/rotate", map[string]any{"grace": grace.String()}, &successor); err != nil {
		return successor, old, err
	}
	var shown struct {
		KID         string
		Status      string
		RotatedTo   string    `json:"rotated_to"`
		GraceEndsAt time.Time `json:"grace_ends_at"`
	}
	err = c.call(http.MethodGet, path, nil, &shown)
	if err == nil && (shown.Status != "deprecated" || shown.RotatedTo != successor.ID) {
		err = fmt.Errorf("the rotated key is %+v", shown)
	}
	return successor, rotated{shown.KID, shown.GraceEndsAt}, err
}

// sight is the content of a set, and the times between which it was read.
type sight struct {
	asked, answered time.Time
	set             *keySet
}

// watchSet reads the set continuously until stop is closed.
func (s *server) watchSet(workspace string, stop <-chan struct{}) (sights []sight) {
	for {
		select {
		case <-stop:
			return sights
		default:
		}
		asked := time.Now()
		if set, err := s.published(workspace); err == nil {
			sights = append(sights, sight{asked, time.Now(), set})
		}
	}
}

// TestE2ERotationsEnd rotates keys whose grace periods end one after another, and kills the server twice. Each
// old key must leave the set soon after its time, or by the server's first answer after a restart, and
// never early.
func TestE2ERotationsEnd(t *testing.T) {
	rotations := scale(t, "BURNKEY_E2E_ROTATIONS", 24, 12)
	spread := time.Duration(rotations) * 300 * time.Millisecond // 200 of them: a minute
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	keys := make([]key, rotations)
	for i := range keys {
		keys[i] = admin.mustIssue(t, "acme")
	}
	ctx, stop := context.WithCancel(t.Context())
	var sights []sight
	var watching sync.WaitGroup
	watching.Go(func() { sights = s.watchSet("acme", ctx.Done()) })
	defer watching.Wait()
	defer stop()
	var old []rotated
	kept := make(map[string]bool)
	for i, k := range keys {
		grace := 10*time.Second + rand.N(spread) // making a key pair can take seconds on a busy machine
		successor, r, err := admin.rotate("acme", k.ID, grace.Round(time.Millisecond))
		if err != nil {
			t.Fatalf("rotation %d: %v", i, err)
		}
		old, kept[successor.KID] = append(old, r), true
	}
	slices.SortFunc(old, func(a, b rotated) int { return a.ends.Compare(b.ends) })
	var restarts []time.Time
	for _, middle := range []rotated{old[rotations/3], old[2*rotations/3]} {
		await(t, middle.ends.Add(-spread/20))
		s.kill()
		await(t, time.Now().Add(spread/10)) // some graces end while nobody is there
		restarts = append(restarts, time.Now())
		s.start()
	}
	await(t, old[rotations-1].ends)
	eventually(t, "every old key has left", func() bool {
		set := s.mustPublished("acme")
		return !slices.ContainsFunc(old, func(r rotated) bool { return set.has(r.kid) })
	})
	stop()
	watching.Wait()
	sights = append(sights, sight{time.Now(), time.Now(), s.mustPublished("acme")}) // the watch may have stood still
	judgeSights(t, old, kept, sights, restarts)
}

// await waits until a time.
func await(t *testing.T, until time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(until)):
	case <-t.Context().Done():
	}
}

func judgeSights(t *testing.T, old []rotated, kept map[string]bool, sights []sight, restarts []time.Time) {
	t.Helper()
	var late []time.Duration
	for _, r := range old {
		for _, look := range sights {
			has := look.set.has(r.kid)
			if !has && look.answered.Before(r.ends) {
				t.Errorf("%s was gone %s before its time", r.kid, r.ends.Sub(look.answered))
			}
			if !has {
				continue
			}
			if over := look.asked.Sub(r.ends); over > 30*time.Second {
				t.Errorf("%s was there %s after its time", r.kid, over)
			}
			for _, restart := range restarts {
				if r.ends.Before(restart) && look.asked.After(restart) {
					t.Errorf("%s was over before the restart and published again after it", r.kid)
				}
			}
		}
		gone := slices.IndexFunc(sights, func(look sight) bool { return !look.set.has(r.kid) })
		if gone < 0 {
			t.Fatalf("%s never left", r.kid)
		}
		late = append(late, sights[gone].answered.Sub(r.ends))
	}
	for kid := range kept {
		if !sights[len(sights)-1].set.has(kid) {
			t.Errorf("the successor %s is gone", kid)
		}
	}
	slices.Sort(late)
	t.Logf("%d old keys in %d looks: gone from the set, after their grace, by p50 %s, p90 %s, longest %s (the server was down for a time)",
		len(late), len(sights), late[len(late)/2], late[len(late)*9/10], late[len(late)-1])
}
