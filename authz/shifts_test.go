package authz_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/sign/shift"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

// signing returns the signing processes of this test.
func signing() (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, dir := range dirs {
		cmdline, _ := os.ReadFile(dir + "/cmdline")
		stat, _ := os.ReadFile(dir + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); strings.HasSuffix(string(cmdline), "\x00"+shift.Subcommand+"\x00") && len(fields) > 1 &&
			fields[1] == strconv.Itoa(os.Getpid()) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			pids = append(pids, pid)
		}
	}
	return pids
}

func kidOf(t *testing.T, x authz.Exchanged) jwks.KID {
	t.Helper()
	kid, err := jwks.KIDOf(x.Token.Reveal())
	testkit.Check(t, err)
	return kid
}

// The next shift's JWK is in the set ahead of its use. When a shift ends, its process is gone, and its JWK leaves the set after
// the last token has expired.
func TestShifts(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.endless("acme")
	key := s.issue("acme", authz.IssueRequest{NeverExpires: true})
	stop := s.exchanging(store.Exchange{})
	s.usable(key)
	first := kidOf(t, s.exchange(authz.ExchangeRequest{Key: key.Token}))
	began := s.set("acme").Len()
	firstPIDs := signing()

	s.clock.Advance(time.Hour - 65*time.Second) // a second before the end of the first shift at the latest
	testkit.Eventually(t, "the next JWK is published", func() bool { return s.set("acme").Len() == began+1 })
	// Only then, and by the clock of that moment, does the server note from when on it uses the JWK.
	looks := s.store.Called("SignersDue")
	testkit.Eventually(t, "it is noted", func() bool { return s.store.Called("SignersDue") > looks })
	last := s.exchange(authz.ExchangeRequest{Key: key.Token, ExpiresIn: 3600})
	if kid := kidOf(t, last); kid != first {
		t.Error("the next key is used before the end of the shift")
	}
	s.clock.Advance(65 * time.Second)
	testkit.Eventually(t, "the first process is gone", func() bool { return len(firstPIDs) == 1 && syscall.Kill(firstPIDs[0], 0) != nil })
	second := s.exchange(authz.ExchangeRequest{Key: key.Token, ExpiresIn: 60})
	if kidOf(t, second) == first {
		t.Error("a shift's key is used after its end")
	}
	s.claims(last)
	s.clock.Advance(time.Hour - 66*time.Second) // the last token of the first shift is about to expire
	s.claims(last)
	s.clock.Advance(10 * time.Minute)
	testkit.Eventually(t, "the first JWK is removed", func() bool { return !s.publishes("acme", first) })

	stop()
	if pids := signing(); len(pids) > 0 {
		t.Errorf("processes %v run after the end", pids)
	}
	signers, err := s.store.Signers(t.Context(), "acme")
	testkit.Check(t, err)
	for _, left := range signers {
		if left.EndsAt.After(s.Now()) {
			t.Errorf("a signer that no longer exists ends at %v", left.EndsAt)
		}
	}
}

// If the signing process is killed, nothing is signed until a new JWK was published for long enough; tokens stay valid.
func TestShiftKilled(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{})
	s.exchanging(store.Exchange{})
	s.usable(key)
	before := s.exchange(authz.ExchangeRequest{Key: key.Token})
	for _, pid := range signing() {
		testkit.Check(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	s.usable(key)
	after := s.exchange(authz.ExchangeRequest{Key: key.Token})
	if kidOf(t, before) == kidOf(t, after) {
		t.Error("the key of a killed process signed")
	}
	s.claims(before)
	s.claims(after)
}

// A JWK that an administrator deleted signs no more.
func TestShiftDeletedJWK(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{})
	s.exchanging(store.Exchange{})
	s.usable(key)
	kid := kidOf(t, s.exchange(authz.ExchangeRequest{Key: key.Token}))
	s.exec(fmt.Sprintf(`DELETE FROM jwks WHERE kid = x'%x'`, kid[:]))
	_ = s.publisher.Check(t.Context(), "acme") // it reports the difference
	s.usable(key)
	if kidOf(t, s.exchange(authz.ExchangeRequest{Key: key.Token})) == kid {
		t.Error("the key is used")
	}
}

// If the answer to the publication of a JWK is lost, the same JWK is used, and no other is published.
func TestShiftPublishedTwice(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{})
	var lost atomic.Bool
	s.store.HookAfter("PublishSigner", func() error {
		if lost.CompareAndSwap(false, true) {
			return storetest.ErrBroken
		}
		return nil
	})
	s.exchanging(store.Exchange{})
	s.usable(key)
	kid := kidOf(t, s.exchange(authz.ExchangeRequest{Key: key.Token}))
	signers, err := s.store.Signers(t.Context(), "acme")
	testkit.Check(t, err)
	if len(signers) != 1 || signers[0].KID != kid || !lost.Load() {
		t.Errorf("%d signers", len(signers))
	}
}

// Servers on one database have signers of their own, and each publishes those of the other.
func TestShiftsOfTwoServers(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	key := s.issue("acme", authz.IssueRequest{})
	other := serverOn(t, s.path)
	s.exchanging(store.Exchange{})
	stop := other.exchanging(store.Exchange{})
	s.usable(key)
	other.usable(key)
	mine, theirs := s.exchange(authz.ExchangeRequest{Key: key.Token}), other.exchange(authz.ExchangeRequest{Key: key.Token})
	if kidOf(t, mine) == kidOf(t, theirs) {
		t.Error("both have the same key")
	}
	stop()
	testkit.Check(t, s.publisher.Reach(t.Context(), "acme", s.version("acme")))
	s.claims(mine)
	s.claims(theirs)
}
