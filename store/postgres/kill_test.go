package postgres

import (
	"bufio"
	"context"
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
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// writerEnv names the database in which a child process of the tests writes.
const writerEnv = "BURNKEY_TEST_POSTGRES_WRITER"

// TestWriter is the child that killWriter kills. It issues and revokes without
// end from several goroutines, and tells on stdout what was acknowledged.
func TestWriter(t *testing.T) {
	url := os.Getenv(writerEnv)
	if url == "" {
		return // only as a child is there something to do
	}
	s := openTest(t, url)
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
func killWriter(t *testing.T, url string, lines int) []acknowledged {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriter$")
	child.Env = append(os.Environ(), writerEnv+"="+url)
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
	server := pgtest.Start(t, map[string]string{"fsync": "on"})
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	all := map[uuid.UUID]acknowledged{}
	for round := range 4 {
		for _, a := range killWriter(t, with(t, url, "application_name", "child"), 20+round*7) {
			all[a.id] = a
		}
		eventually(t, "what it sent at last has been done", func() bool {
			return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'child'`)[0] == "0"
		})
		if round%2 == 1 {
			server.Crash(t)
			server.StartAgain(t)
		}
		// Once with a store that was open all the time, then with one that is not.
		checkAcknowledged(t, s, all)
		checkAcknowledged(t, openTest(t, url), all)
	}
	checkLog(t, s)
}

// TestACrashedDatabaseLosesNothingItAcknowledged crashes it in the middle of
// what several processes do.
func TestACrashedDatabaseLosesNothingItAcknowledged(t *testing.T) {
	server := pgtest.Start(t, map[string]string{"fsync": "on"})
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	ctx, stop := context.WithCancel(t.Context())
	var (
		writers sync.WaitGroup
		mu      sync.Mutex
		all     = map[uuid.UUID]acknowledged{}
	)
	for range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				k, err := s.Issue(ctx, storetest.NewRecord("acme", "o"), storetest.NewKey(t))
				if err == nil {
					mu.Lock()
					all[k.ID] = acknowledged{id: k.ID, kid: k.KID.String(), version: k.Version}
					mu.Unlock()
				}
			}
		})
	}
	for round := range 3 {
		eventually(t, "some keys are issued", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(all) > 30*(round+1)
		})
		server.Crash(t)
		server.StartAgain(t)
	}
	stop()
	writers.Wait()
	checkAcknowledged(t, s, all)
	checkLog(t, s)
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
}
