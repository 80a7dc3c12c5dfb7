package e2e_test

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestE2EKilled kills the server repeatedly while clients issue and revoke keys, and compares its data with the
// acknowledged changes.
func TestE2EKilled(t *testing.T) {
	const clients = 4
	rounds := scale(t, "BURNKEY_E2E_KILLS", 12, 5)
	seed := rand.Uint64()
	if text := os.Getenv("BURNKEY_E2E_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		check(t, err)
	}
	t.Logf("BURNKEY_E2E_SEED=%d", seed)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	l := newLedger()
	minting := 0
	// A busy machine needs more rounds until there was enough to lose. Only about every second round counts minting processes.
	for round := 0; round < rounds || round < 4*rounds && (minting == 0 || !l.hasWorked(rounds)); round++ {
		rng := func(client int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(round*(clients+1)+client))) }
		sending := make(chan struct{})
		var working sync.WaitGroup
		for client := range clients {
			working.Go(func() { l.work(t, admin, rng(client), sending) })
		}
		minting += killSometime(s, rng(clients), sending)
		working.Wait()
		noneLeft(t, s.pid())
		s.start()
		l.audit(t, s, admin)
		if t.Failed() {
			t.Fatalf("in round %d", round+1)
		}
	}
	// And once more after a regular shutdown.
	s.stop()
	s.start()
	l.audit(t, s, admin)
	t.Logf("%d kills: %d issues and %d revocations acknowledged and kept; of %d issues and %d revocations in flight, %d and %d had happened",
		rounds, l.issues, l.revocations, l.openIssues, l.openRevocations, l.madeIssues, l.madeRevocations)
	t.Logf("%d minting processes ended with their server; version %d", minting, l.highest)
	if !l.hasWorked(rounds) {
		t.Error("the server had too little to do for this to show anything")
	}
	if minting == 0 && runtime.GOOS == "linux" {
		t.Error("no minting process was ever seen")
	}
}

// killSometime kills the server within about a second, either at a random moment or during a revocation. It
// returns the number of minting processes, if there was time to count them.
func killSometime(s *server, rng *rand.Rand, sending <-chan struct{}) (minting int) {
	<-time.After(100*time.Millisecond + time.Duration(rng.Int64N(int64(time.Second))))
	if rng.IntN(2) == 0 {
		select {
		case <-sending:
		case <-time.After(time.Second):
		}
		<-time.After(time.Duration(rng.Int64N(int64(4 * time.Millisecond))))
	} else {
		minting = len(sessionOf(s.pid()))
	}
	s.kill()
	return minting
}

// noneLeft waits until no process of a killed server exists.
func noneLeft(t *testing.T, leader int) {
	t.Helper()
	eventually(t, "no minting process outlives its server", func() bool { return len(sessionOf(leader)) == 0 })
}
