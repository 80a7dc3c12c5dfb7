// Package mint makes API keys. A minting process, a child running the same binary, generates a key pair,
// signs one token, returns the token and the public key, and exits.
//
// It is a process, not a function, because Go cannot wipe memory: crypto/rsa keeps copies of the primes
// that zeroing a big.Int does not reach. The kernel removes all memory of a process.
package mint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz/mint/burn"
	"github.com/burnkey/burnkey/authz/turns"
	"github.com/burnkey/burnkey/internal/confined"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
)

// Errors of Mint, for errors.Is.
var (
	// ErrBusy: the queue is full; no key was made.
	ErrBusy = errors.New("too many keys are being made")
	// ErrFailed: the minting process failed, or its answer was invalid.
	ErrFailed = errors.New("making the key failed")
)

// Minted is the public key of a new key pair, and the token that the key pair signed.
type Minted struct {
	Key jwks.Key
	// Token is empty for a tombstone.
	Token jwks.Token
}

// Options of a Minter. A zero value means the default.
type Options struct {
	// Workers is the maximum number of concurrent minting processes. Default: the number of CPUs. A key takes
	// about 100 ms of one CPU.
	Workers int
	// Queue is the maximum of waiting requests: a quarter of it per owner, half per caller. Default 256.
	Queue int
	// Deadline is the time after which a minting process is killed. Default 30 s.
	Deadline time.Duration
	// Metrics receives the collectors. If nil, they are not exported.
	Metrics prometheus.Registerer
	// Log receives warnings about requests that are turned away. Nil: discarded.
	Log *slog.Logger
}

// Minter runs a bounded number of minting processes. It is safe for concurrent use.
type Minter struct {
	options Options
	binary  string // of confined.Binary, except in tests
	queue   *turns.Queue
	metrics metrics
	warned  logs.Throttle // by workspace
	// typical is the typical duration of recent mintings in nanoseconds.
	typical atomic.Int64
}

// New returns a Minter. Its processes run this process's binary, in which package burn recognizes them.
func New(o Options) (*Minter, error) {
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	o.Queue = cmp.Or(o.Queue, 256)
	o.Deadline = cmp.Or(o.Deadline, 30*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if err := confined.Seal(); err != nil {
		return nil, fmt.Errorf("keep descriptors from minting processes: %w", err)
	}
	m := &Minter{options: o, binary: confined.Binary(burn.Subcommand), queue: turns.New(turns.Limits{
		AtOnce: o.Workers, Waiting: o.Queue, PerOwner: max(1, o.Queue/4), PerCaller: max(1, o.Queue/2),
	})}
	m.typical.Store(int64(100 * time.Millisecond))
	m.metrics = newMetrics(o.Metrics, m.queue.Waiting)
	return m, nil
}

// Claims are what a token says: a JSON object that is signed byte for byte, and the type of the token.
type Claims struct {
	Type    jwks.TokenType
	Payload []byte
}

// Mint makes a key and a token with the payload and the type that claims returns. Workspaces and their owners take
// turns: when the turn comes, Mint calls claims and then generates the key pair, so that times in the payload are those
// of the minting. With nil claims, it makes a tombstone.
// Errors: *BusyError, ErrFailed, the context's cause, and those of claims.
func (m *Minter) Mint(ctx context.Context, asker Asker, claims func() (Claims, error)) (minted Minted, err error) {
	defer spans.Start(&ctx, "mint", &err)()
	start := time.Now()
	if err := m.acquire(ctx, asker); err != nil {
		return Minted{}, m.turnedAway(err)
	}
	defer m.queue.Release()
	m.metrics.wait.Observe(time.Since(start).Seconds())

	var said Claims
	if claims != nil {
		if said, err = claims(); err != nil {
			return Minted{}, err
		}
		if len(said.Payload) == 0 { // it would request a tombstone
			return Minted{}, fmt.Errorf("%w: there are no claims", ErrFailed)
		}
	}
	m.metrics.running.Inc()
	defer m.metrics.running.Dec()
	start = time.Now()
	minted, err = m.run(ctx, said)
	if err != nil {
		m.metrics.failed(err)
		return Minted{}, err
	}
	took := time.Since(start)
	m.metrics.duration.Observe(took.Seconds())
	m.typical.Store((7*m.typical.Load() + int64(took)) / 8)
	return minted, nil
}

// acquire waits for a turn.
func (m *Minter) acquire(ctx context.Context, asker Asker) (err error) {
	defer spans.Start(&ctx, "mint.wait", &err)()
	return m.queue.Acquire(ctx, asker)
}

// turnedAway counts and logs a request that got no turn.
func (m *Minter) turnedAway(err error) error {
	var full *turns.FullError
	if errors.As(err, &full) {
		busy := &BusyError{Asker: full.Asker, Reason: full.Reason, RetryAfter: m.retryAfter(full.Ahead)}
		m.metrics.turnedAway.WithLabelValues(busy.Reason).Inc()
		m.warned.For(m.options.Log, busy.Workspace).Warn("requests for keys are turned away: too many wait for a minting process",
			"workspace", busy.Workspace, "reason", busy.Reason, "retry_after", busy.RetryAfter)
		err = busy
	}
	m.metrics.failed(err)
	return err
}

// retryAfter estimates how long the given number of turns takes, at least a second.
func (m *Minter) retryAfter(turns int) time.Duration {
	all := time.Duration(turns) * time.Duration(m.typical.Load())
	return max(time.Second, (all / time.Duration(m.options.Workers)).Round(time.Second))
}

func (m *Minter) run(ctx context.Context, claims Claims) (_ Minted, err error) {
	defer spans.Start(&ctx, "mint.process", &err)()
	deadline, cancel := context.WithTimeout(ctx, m.options.Deadline)
	defer cancel()
	// The kernel sends Pdeathsig when the thread that started the process ends, so the thread must not end
	// before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	minted, err := oneKey(m.command(deadline), claims)
	switch {
	case err == nil:
		return minted, nil
	case ctx.Err() != nil:
		return Minted{}, context.Cause(ctx)
	case deadline.Err() != nil: // our deadline, not the caller's
		return Minted{}, fmt.Errorf("%w: it took longer than %s", ErrFailed, m.options.Deadline)
	}
	return Minted{}, fmt.Errorf("%w: %w", ErrFailed, err)
}

// command returns the command of a minting process, which is killed when the context is done.
func (m *Minter) command(ctx context.Context) *exec.Cmd {
	return confined.Command(ctx, m.binary, burn.Subcommand)
}

// oneKey runs a minting process. It lowers the process's priority right away, since the process needs some
// milliseconds before it can do so itself.
func oneKey(cmd *exec.Cmd, claims Claims) (Minted, error) {
	to, err := cmd.StdinPipe()
	if err != nil {
		return Minted{}, err
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		return Minted{}, err
	}
	if err := cmd.Start(); err != nil {
		return Minted{}, err
	}
	burn.GiveWay(cmd.Process.Pid) // the pid is not reused before Wait returns
	minted, err := converse(from, to, claims)
	if err != nil {
		_ = cmd.Process.Kill()
	}
	_, _ = to.Close(), from.Close()
	if ended := cmd.Wait(); ended != nil {
		return Minted{}, errors.Join(ended, err)
	}
	return minted, err
}
