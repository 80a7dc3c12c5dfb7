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

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// writerEnv is the environment variable with the database that a child process writes to.
const writerEnv = "BURNKEY_TEST_WRITER"

// Writer is the body of a test named TestWriter, which KillWriter starts in a child process; elsewhere it does
// nothing. Several goroutines issue, revoke, rotate and retire keys in workspace acme without end and print
// each acknowledgement.
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
		fmt.Println(what, k.ID, k.KID, k.Version, k.Removed())
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
				switch i % 3 {
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
				case 2: // one version removes several
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
		if _, err := fmt.Sscan(line, &what, &id, &a.kid, &a.version, &a.removed); err != nil {
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
	set := map[string]bool{}
	version, _, err := s.Published(t.Context(), "acme", func(k jwks.Key, _ jwks.Attributes) error {
		set[k.KID().String()] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, a := range all {
		k, err := s.Key(t.Context(), "acme", id)
		if err != nil {
			t.Fatalf("acknowledged key %s: %v", id, err)
		}
		if k.KID.String() != a.kid || k.Version != a.version || k.Version > version {
			t.Errorf("key %s is not what was acknowledged: %+v", id, k)
		}
		if a.revoked && (k.Removed() != a.removed || set[a.kid]) {
			t.Errorf("revocation of %s was lost", id)
		}
		if set[a.kid] != k.Published() {
			t.Errorf("key %s is published: %v, want %v", id, set[a.kid], k.Published())
		}
	}
	changes, err := s.Changes(t.Context(), "acme", 0, 1<<20)
	if err != nil || uint64(len(changes)) != version {
		t.Errorf("%d changes of version %d: %v", len(changes), version, err)
	}
}
