package sqlite

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/storetest"
)

// TestWriter is the child that KillWriter kills.
func TestWriter(t *testing.T) {
	storetest.Writer(t, func(path string) store.Store { return openTest(t, path) })
}

func TestKilledWriterLosesNothingItAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	s := openTest(t, path)
	create(t, s, "acme")
	all := storetest.Acknowledgements{}
	for round := range 5 {
		all.Add(storetest.KillWriter(t, path, 20+round*7)...)
		// Check the store that was open all the time, then a newly opened store.
		all.Check(t, s)
		all.Check(t, openTest(t, path))
	}
}

func TestProcessesWriteOneFileTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "burnkey.db")
	s := openTest(t, path)
	create(t, s, "acme")
	children := make([][]storetest.Acknowledged, 2)
	running := make(chan struct{})
	var wg sync.WaitGroup
	for i := range children {
		wg.Go(func() { children[i] = storetest.KillWriter(t, path, 60) })
	}
	go func() { wg.Wait(); close(running) }()
	all := storetest.Acknowledgements{}
	for done := false; !done; {
		select {
		case <-running:
			done = true
		default:
			k, err := s.Issue(t.Context(), storetest.NewRecord("acme", "o"), storetest.NewKey(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			all.Add(storetest.Issued(k))
		}
	}
	for _, said := range children {
		if len(said) < 60 {
			t.Errorf("a child reported %d writes", len(said))
		}
		all.Add(said...)
	}
	all.Check(t, s)
}
