package sqlite

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

// writerEnv names the database in which a child process of the tests writes.
const writerEnv = "BURNKEY_TEST_SQLITE_WRITER"

// TestWriter is the child that killWriter kills. It issues and revokes without
// end from several goroutines, and tells on stdout what was acknowledged.
func TestWriter(t *testing.T) {
	path := os.Getenv(writerEnv)
	if path == "" {
		return // only as a child is there something to do
	}
	s := openTest(t, path)
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	say := func(what string, k store.Key) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, k.ID, k.KID, k.Version, k.RevokedVersion)
	}
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				k, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t))
				if err != nil {
					t.Error(err)
					return
				}
				say("issued", k)
				if i%3 == 0 {
					if k, err = s.Revoke(t.Context(), "acme", k.ID, time.Now()); err != nil {
						t.Error(err)
						return
					}
					say("revoked", k)
				}
			}
		})
	}
	wg.Wait()
}

// acknowledged is what one line of the child's said.
type acknowledged struct {
	revoked                 bool
	id                      uuid.UUID
	kid                     string
	version, revokedVersion uint64
}

// killWriter runs the child, kills it behind some lines, in the middle of
// whatever it does then, and returns all its complete lines.
func killWriter(t *testing.T, path string, lines int) []acknowledged {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriter$")
	child.Env = append(os.Environ(), writerEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []acknowledged
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			break
		}
		var a acknowledged
		var what, id string
		if _, err := fmt.Sscan(line, &what, &id, &a.kid, &a.version, &a.revokedVersion); err != nil {
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

func TestKilledWriterLosesNothingItAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	s := openTest(t, path)
	create(t, s, "acme")
	all := map[uuid.UUID]acknowledged{}
	for round := range 5 {
		for _, a := range killWriter(t, path, 20+round*7) {
			all[a.id] = a
		}
		// Once with a store that was open all the time, then with one that is not.
		checkAcknowledged(t, s, all)
		checkAcknowledged(t, openTest(t, path), all)
	}
}

func TestProcessesWriteOneFileTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	s := openTest(t, path)
	create(t, s, "acme")
	children := make([][]acknowledged, 2)
	running := make(chan struct{})
	var wg sync.WaitGroup
	for i := range children {
		wg.Go(func() { children[i] = killWriter(t, path, 60) })
	}
	go func() { wg.Wait(); close(running) }()
	all := map[uuid.UUID]acknowledged{}
	for done := false; !done; {
		select {
		case <-running:
			done = true
		default:
			k, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t))
			if err != nil {
				t.Fatal(err)
			}
			all[k.ID] = acknowledged{id: k.ID, kid: k.KID.String(), version: k.Version}
		}
	}
	for _, said := range children {
		if len(said) < 60 {
			t.Errorf("a child told of %d writes", len(said))
		}
		for _, a := range said {
			all[a.id] = a
		}
	}
	checkAcknowledged(t, s, all)
}

func checkAcknowledged(t *testing.T, s *Store, all map[uuid.UUID]acknowledged) {
	t.Helper()
	set := map[string]bool{}
	version, err := s.Published(t.Context(), "acme", func(k jwks.Key) error {
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
		if a.revoked && (k.RevokedVersion != a.revokedVersion || set[a.kid]) {
			t.Errorf("revocation of %s was lost", id)
		}
		if published := k.RevokedVersion == 0; set[a.kid] != published {
			t.Errorf("key %s is published: %v, want %v", id, set[a.kid], published)
		}
	}
	changes, err := s.Changes(t.Context(), "acme", 0, 1<<20)
	if err != nil || uint64(len(changes)) != version {
		t.Errorf("%d changes of version %d: %v", len(changes), version, err)
	}
}
