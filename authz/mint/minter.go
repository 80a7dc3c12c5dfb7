package mint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/jwks"
)

// Errors of Mint, for errors.Is.
var (
	// ErrBusy: the queue is full; nothing was made.
	ErrBusy = errors.New("too many keys are being made")
	// ErrFailed: the minting process failed or its answer did not verify.
	ErrFailed = errors.New("making the key failed")
)

// Minted is what is left of a key pair.
type Minted struct {
	Key jwks.Key
	// Token is empty for a tombstone.
	Token jwks.Token
}

// Options of a Minter. Zero values mean the defaults named.
type Options struct {
	// Workers is how many minting processes run at once. Default: the number
	// of CPUs, each being busy for about 100 ms a key.
	Workers int
	// Queue is how many wait beyond those. Default 256.
	Queue int
	// Deadline kills a minting process. Default 30 s.
	Deadline time.Duration
	// Metrics receives the collectors; nil keeps them private.
	Metrics prometheus.Registerer
}

// Minter starts minting processes, so many at a time. It is safe for concurrent
// use.
type Minter struct {
	options Options
	binary  string // binary's, but for tests
	queue   *queue
	metrics metrics
	// typical is the recent duration of one minting in nanoseconds.
	typical atomic.Int64
}

// New makes a Minter whose processes are children of this same binary, which
// must call Process first thing where IsProcess says so.
func New(o Options) (*Minter, error) {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Queue <= 0 {
		o.Queue = 256
	}
	if o.Deadline <= 0 {
		o.Deadline = 30 * time.Second
	}
	if err := sealDescriptors(); err != nil {
		return nil, fmt.Errorf("keep descriptors from minting processes: %w", err)
	}
	m := &Minter{options: o, binary: binary(), queue: newQueue(o.Workers, o.Queue)}
	m.typical.Store(int64(100 * time.Millisecond))
	m.metrics = newMetrics(o.Metrics, m.queue.length)
	return m, nil
}

// Mint makes a key whose token has the payload that claims returns, a JSON
// object that is signed byte for byte. It waits for its turn among the workspaces
// and calls claims when that has come, so that times in it are of the minting.
// Without claims it makes a tombstone. Errors: ErrBusy, ErrFailed, the
// context's, those of claims.
func (m *Minter) Mint(ctx context.Context, workspace string, claims func() ([]byte, error)) (Minted, error) {
	start := time.Now()
	if err := m.queue.acquire(ctx, workspace); err != nil {
		m.metrics.failed(err)
		return Minted{}, err
	}
	defer m.queue.release()
	m.metrics.wait.Observe(time.Since(start).Seconds())

	var payload []byte
	if claims != nil {
		var err error
		if payload, err = claims(); err != nil {
			return Minted{}, err
		}
		if len(payload) == 0 { // which would ask for a tombstone
			return Minted{}, fmt.Errorf("%w: there are no claims", ErrFailed)
		}
	}
	m.metrics.running.Inc()
	defer m.metrics.running.Dec()
	start = time.Now()
	minted, err := m.run(ctx, payload)
	if err != nil {
		m.metrics.failed(err)
		return Minted{}, err
	}
	took := time.Since(start)
	m.metrics.duration.Observe(took.Seconds())
	m.typical.Store((7*m.typical.Load() + int64(took)) / 8)
	return minted, nil
}

// RetryAfter estimates when the queue will have drained, from a second up.
func (m *Minter) RetryAfter() time.Duration {
	queued := time.Duration(m.queue.length()) * time.Duration(m.typical.Load())
	return max(time.Second, (queued / time.Duration(m.options.Workers)).Round(time.Second))
}

func (m *Minter) run(ctx context.Context, payload []byte) (Minted, error) {
	input, err := json.Marshal(request{Payload: payload})
	if err != nil || len(input) >= maxMessage {
		return Minted{}, fmt.Errorf("%w: the claims are too long", ErrFailed)
	}
	deadline, cancel := context.WithTimeout(ctx, m.options.Deadline)
	defer cancel()
	// Pdeathsig is sent when the thread that forked ends, so it is kept.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	output := &bounded{left: maxMessage}
	if err := runGivingWay(m.command(deadline, bytes.NewReader(input), output)); err != nil {
		switch {
		case ctx.Err() != nil:
			return Minted{}, ctx.Err()
		case deadline.Err() != nil: // ours, not to be taken for the caller's
			return Minted{}, fmt.Errorf("%w: it took longer than %s", ErrFailed, m.options.Deadline)
		}
		return Minted{}, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return check(output.buf.Bytes(), payload)
}

// runGivingWay is cmd.Run for a process that gives way from its first instruction:
// it takes 10 ms to come as far as harden.
func runGivingWay(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	giveWay(cmd.Process.Pid) // ours until Wait returns
	return cmd.Wait()
}

// command is a minting process to be: it ends with the context at the latest.
func (m *Minter) command(ctx context.Context, in io.Reader, out io.Writer) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.binary, Subcommand)
	cmd.Env = []string{} // nil would mean ours
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout = in, out
	cmd.WaitDelay = time.Second
	confine(cmd)
	return cmd
}

// check takes nothing on trust: the key must be of our shape, and the token
// must be our form, say what was asked for and verify by that key.
func check(output, payload []byte) (Minted, error) {
	var resp response
	if err := json.Unmarshal(output, &resp); err != nil {
		return Minted{}, fmt.Errorf("%w: the answer does not read", ErrFailed)
	}
	if resp.Key == (jwks.Key{}) || (resp.Token == "") != (len(payload) == 0) {
		return Minted{}, fmt.Errorf("%w: the answer is not whole", ErrFailed)
	}
	if resp.Token == "" {
		return Minted{Key: resp.Key}, nil
	}
	parsed, err := jwks.Parse(resp.Token)
	if err != nil {
		return Minted{}, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	if !bytes.Equal(parsed.Payload, payload) {
		return Minted{}, fmt.Errorf("%w: the token says something else", ErrFailed)
	}
	if err := parsed.Check(resp.Key); err != nil {
		return Minted{}, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return Minted{Key: resp.Key, Token: jwks.Token(resp.Token)}, nil
}

// bounded collects output and refuses more than it has left.
type bounded struct {
	buf  bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("the answer is too long")
	}
	return b.buf.Write(p)
}
