package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// writerEnv is the environment variable with the database that a child process writes to.
const writerEnv = "BURNKEY_TEST_WRITER"

// Writer is the body of a test named TestWriter, which KillWriter starts in a child process; elsewhere it does
// nothing. Several goroutines issue, revoke, rotate, retire and suspend keys in workspace acme without end and
// print each acknowledgement.
func Writer(t *testing.T, open func(database string) store.Store) {
	database := os.Getenv(writerEnv)
	if database == "" {
		return
	}
	s := open(database)
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	say := func(what string, k store.Key) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, k.ID, k.KID, k.Version, k.Removed(), len(k.Limits))
	}
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				k, err := s.Issue(t.Context(), NewRecord("acme", "o"), NewKey(t), nil)
				if err != nil {
					t.Error(err)
					return
				}
				say("issued", k)
				switch i % 4 {
				case 0:
					if k, err = s.Revoke(t.Context(), "acme", k.ID, time.Now()); err == nil {
						say("revoked", k)
					}
				case 1: // one version removes a key and publishes another
					old, next, errRotate := s.Rotate(t.Context(), "acme", k.ID, NewRecord("acme", "o"), NewKey(t), time.Time{}, nil)
					if err = errRotate; err == nil {
						say("revoked", old)
						say("issued", next)
					}
				case 2:
					err = alterThrice(t, s, k, say)
				case 3: // one version removes several
					err = retireThree(t, s, k, say)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// alterThrice limits, suspends and resumes a key, each time with one more rule.
func alterThrice(t *testing.T, s store.Store, k store.Key, say func(what string, k store.Key)) (err error) {
	for _, at := range []time.Time{{}, now, {}} {
		k, err = s.UpdateKey(t.Context(), "acme", k.ID, func(_ *store.Workspace, k *store.Key) error {
			k.SuspendedAt, k.Limits = at, append(k.Limits, rule(1))
			return nil
		})
		if err != nil {
			return err
		}
		say("altered", k)
	}
	return nil
}

// retireThree retires a key and two newly issued keys.
func retireThree(t *testing.T, s store.Store, k store.Key, say func(what string, k store.Key)) error {
	ids := []uuid.UUID{k.ID}
	for range 2 {
		k, err := s.Issue(t.Context(), NewRecord("acme", "o"), NewKey(t), nil)
		if err != nil {
			return err
		}
		say("issued", k)
		ids = append(ids, k.ID)
	}
	retired, err := s.Retire(t.Context(), "acme", ids, k.ExpiresAt)
	for _, k := range retired {
		say("revoked", k)
	}
	return err
}

// Acknowledged is the state of a key in a store's answer.
type Acknowledged struct {
	revoked          bool
	id               uuid.UUID
	kid              string
	version, removed uint64
	limits           int
}

// Acknowledgements has the latest acknowledged state of each key.
type Acknowledgements map[uuid.UUID]Acknowledged

// Add adds a later acknowledgement.
func (all Acknowledgements) Add(later ...Acknowledged) {
	for _, a := range later {
		all[a.id] = a
	}
}

// Issued returns the acknowledged state of a key that was issued.
func Issued(k store.Key) Acknowledged {
	return Acknowledged{id: k.ID, kid: k.KID.String(), version: k.Version}
}

// KillWriter runs the child, kills it after it has printed some lines, and returns the complete lines.
func KillWriter(t *testing.T, database string, lines int) []Acknowledged {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriter$")
	child.Env = append(os.Environ(), writerEnv+"="+database)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []Acknowledged
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		var a Acknowledged
		var what, id string
		if _, err := fmt.Sscan(line, &what, &id, &a.kid, &a.version, &a.removed, &a.limits); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		a.id, a.revoked = uuid.MustParse(id), what == "revoked"
		if said = append(said, a); len(said) == lines {
			_ = child.Process.Kill()
		}
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child ended with %v", err)
	}
	return said
}

// Check checks that a store has everything acknowledged in workspace acme, and that its log has no gap.
func (all Acknowledgements) Check(t *testing.T, s store.Store) {
	t.Helper()
	published, err := readFeed(t.Context(), s, "acme")
	if err != nil {
		t.Fatal(err)
	}
	for id, a := range all {
		k, err := s.Key(t.Context(), "acme", id)
		if err != nil {
			t.Fatalf("acknowledged key %s: %v", id, err)
		}
		if k.KID.String() != a.kid || k.Version != a.version || k.Version > published.version {
			t.Errorf("key %s is not what was acknowledged: %+v", id, k)
		}
		_, has := published.keys[k.KID]
		if a.revoked && (k.Removed() != a.removed || has) {
			t.Errorf("revocation of %s was lost", id)
		}
		if has != k.Published() {
			t.Errorf("key %s is published: %v, want %v", id, has, k.Published())
		}
		// The last change can be one that was not acknowledged.
		if n := len(k.Limits); n < a.limits || n > a.limits+1 || (n == 2) == k.SuspendedAt.IsZero() {
			t.Errorf("key %s was acknowledged with %d rules, and is %+v", id, a.limits, k)
		}
		if limits := len(published.attributes[k.KID].Limits); has && limits != len(k.Limits) {
			t.Errorf("key %s is published with %d limits, and has %d", id, limits, len(k.Limits))
		}
	}
	Replays(t, s, "acme")
}
