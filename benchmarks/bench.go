package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"
)

// bench is one run of the benchmarks.
type bench struct {
	o        options
	say      *progress
	dir      string // for logs, configurations and the database under test
	loading  string // where databases grow: in memory, where the system offers that
	addr     string // of every server: it is a part of each token
	ring     *keyring
	upstream *upstream
	results  results
}

// spare is how many keys of the pool no set holds: workspaces need a tombstone.
const spare = 8

// newBench makes everything that all parts need. The caller closes it.
func newBench(ctx context.Context, o options, out io.Writer) (_ *bench, err error) {
	b := &bench{o: o, say: newProgress(out)}
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

// memoryDir is a file system in memory, where a commit waits for no disk, or else
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
		b.upstream.stop()
	}
	for _, dir := range []string{b.dir, b.loading} {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
}

// database is one that grows while no server has it open, in memory.
type database struct {
	file string
	keys int
}

// newDatabase lets a server make a database with an admin key and a workspace.
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

// grow adds the ring's keys until there are n.
func (b *bench) grow(ctx context.Context, d *database, n int) (time.Duration, error) {
	if n <= d.keys {
		return 0, nil
	}
	began := time.Now()
	if err := b.ring.fill(ctx, d.file, workspace, d.keys, n, b.say.counter("keys issued in the store")); err != nil {
		return 0, err
	}
	d.keys = n
	return time.Since(began), nil
}

// serve runs a server on a copy of the database on the disk, which remove deletes.
func (b *bench) serve(ctx context.Context, d *database, flags ...string) (s *server, file string, err error) {
	dir, err := os.MkdirTemp(b.dir, "db-")
	if err != nil {
		return nil, "", err
	}
	file = filepath.Join(dir, "burnkey.db")
	key := filepath.Join(filepath.Dir(d.file), "admin.key")
	if err := errors.Join(copyFile(file, d.file), copyFile(filepath.Join(dir, "admin.key"), key)); err != nil {
		return nil, "", err
	}
	s, err = startServer(ctx, b.dir, b.o.burnkey, b.addr, file, flags...)
	return s, file, err
}

// finish ends a server of serve and removes its database.
func (b *bench) finish(s *server, file string) {
	if s != nil {
		s.stop()
	}
	if file != "" {
		_ = os.RemoveAll(filepath.Dir(file)) // is in b.dir
	}
}

// copyFile copies a file and syncs the copy, so that no later commit pays for it.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // was only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// progress shows how far a run is: a line per step and, on a terminal, a counter below.
type progress struct {
	out      io.Writer
	terminal bool
	began    time.Time
	last     time.Time
}

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, terminal: ok && term.IsTerminal(int(file.Fd())), began: time.Now()}
}

func (p *progress) step(format string, args ...any) {
	fmt.Fprintf(p.out, "%6.1f s  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// counter returns a function that shows how far something is: several times a
// second on a terminal, every half a minute elsewhere. Calls must not overlap.
func (p *progress) counter(what string) func(done, of int) {
	every := 30 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	p.last = time.Now()
	return func(done, of int) {
		if time.Since(p.last) < every && (done < of || !p.terminal) {
			return
		}
		p.last = time.Now()
		if !p.terminal {
			p.step("%s: %d of %d", what, done, of)
			return
		}
		const width = 30
		bar := strings.Repeat("=", width*done/of)
		fmt.Fprintf(p.out, "\r%9s [%-*s] %d of %d %s\x1b[K", "", width, bar, done, of, what)
		if done == of {
			fmt.Fprint(p.out, "\r\x1b[K")
		}
	}
}
