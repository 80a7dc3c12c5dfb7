package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/burnkey/burnkey/store/sqlite"
)

// bench is one run of the benchmarks.
type bench struct {
	o        options
	say      *progress
	dir      string // for logs, configurations and the database under test
	loading  string // where keys are added to databases: in memory if possible
	addr     string // of all servers, since each token contains it
	ring     *keyring
	upstream net.Listener
	results  results
}

// spare is the number of keys in the pool beyond the largest set. One spare key serves as the tombstone.
const spare = 8

// newBench prepares a run. The caller closes it.
func newBench(ctx context.Context, o options, out io.Writer) (_ *bench, err error) {
	b := &bench{o: o, say: &progress{out, time.Now()}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = os.MkdirTemp(o.scratch, "burnkey-bench-"); err != nil {
		return nil, err
	}
	if b.loading, err = os.MkdirTemp(memoryDir(o.scratch), "burnkey-bench-"); err != nil {
		return nil, err
	}
	if b.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	if b.upstream, err = startUpstream(); err != nil {
		return nil, err
	}
	largest := o.sizes[len(o.sizes)-1]
	b.say.step("%d keys", largest)
	b.ring, err = newKeyring(ctx, o.primes, max(largest, o.large)+spare, "http://"+b.addr+issuerPath(), b.say.counter("primes"))
	return b, err
}

// memoryDir returns a directory in memory, where commits do not wait for a disk. If there is none, it returns
// the fallback.
func memoryDir(fallback string) string {
	const shm = "/dev/shm"
	probe, err := os.MkdirTemp(shm, "burnkey-bench-")
	if err != nil {
		return fallback
	}
	_ = os.Remove(probe)
	return shm
}

func (b *bench) close() {
	if b.upstream != nil {
		_ = b.upstream.Close()
	}
	for _, dir := range []string{b.dir, b.loading} {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
}

// database is an SQLite file in memory. Keys are added to it while no server has it open.
type database struct {
	file string
	keys int
}

// newDatabase creates a database that has an admin key and a workspace, by starting a server on it.
func (b *bench) newDatabase(ctx context.Context, name string) (*database, error) {
	dir := filepath.Join(b.loading, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	d := &database{file: filepath.Join(dir, "burnkey.db")}
	s, err := startServer(ctx, b.dir, b.o.burnkey, b.addr, d.file)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return d, s.createWorkspace(ctx)
}

// grow adds keys of the ring until the database has n.
func (b *bench) grow(ctx context.Context, d *database, n int) error {
	if n <= d.keys {
		return nil
	}
	from := d.keys
	d.keys = n
	return b.ring.fill(ctx, d.file, workspace, from, n, b.say.counter("keys issued in the store"))
}

// serve copies the database to the disk and runs a server on the copy. Stopping the server removes the copy.
func (b *bench) serve(ctx context.Context, d *database, flags ...string) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "db-")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"burnkey.db", "admin.key"} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(filepath.Dir(d.file), name)); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(dir, "burnkey.db")
	if err := settle(ctx, file); err != nil {
		return nil, err
	}
	s, err := startServer(ctx, b.dir, b.o.burnkey, b.addr, file, flags...)
	if err != nil {
		return nil, err
	}
	s.copied = dir
	return s, nil
}

// settle makes a copied database one that a server starts on, without the new versions of `burnkey restore`.
func settle(ctx context.Context, file string) error {
	st, err := sqlite.Open(ctx, file)
	if err != nil {
		return err
	}
	return errors.Join(st.Settle(ctx, true), st.Close())
}

// copyFile copies a file and syncs the copy, so that no later commit waits for the copied data.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// progress prints the progress of a run, one line per step.
type progress struct {
	out   io.Writer
	began time.Time
}

func (p *progress) step(format string, args ...any) {
	fmt.Fprintf(p.out, "%6.1f s  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// counter returns a function that prints every few seconds how many of the items are done. Calls must not
// overlap.
func (p *progress) counter(what string) func(done, of int) {
	last := time.Now()
	return func(done, of int) {
		if time.Since(last) > 5*time.Second {
			last = time.Now()
			p.step("%s: %d of %d", what, done, of)
		}
	}
}
