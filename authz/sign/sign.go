// Package sign runs the signing processes of the token exchange. Each has the private keys of a shift, in its memory only.
// When it ends, they are gone: the kernel frees every copy that Go made of them.
package sign

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/burnkey/burnkey/authz/sign/shift"
	"github.com/burnkey/burnkey/internal/confined"
	"github.com/burnkey/burnkey/jwks"
)

// ErrEnded means that the signing process has ended or was killed. Its private keys no longer exist.
var ErrEnded = errors.New("the signing process has ended")

const (
	// signDeadline is the time after which a process that does not answer is killed. A signature takes about 1 ms.
	signDeadline = 10 * time.Second
	// generateDeadline is the same for a key pair, which takes about 100 ms.
	generateDeadline = 30 * time.Second
	// endDeadline is the time that a process has for answering all requests before Close kills it.
	endDeadline = 5 * time.Second
)

// Process is a signing process. It is safe for concurrent use.
type Process struct {
	cmd   *exec.Cmd
	to    io.WriteCloser
	ended chan struct{}

	mu      sync.Mutex // guards the fields below, and writing
	waiting map[uint32]asker
	lastID  uint32
	keys    uint16
}

// asker waits for an answer. late kills the process even if the asker has given up, since later askers would wait, too.
type asker struct {
	answer chan []byte
	late   *time.Timer
}

// Start starts a signing process, without keys.
func Start() (*Process, error) {
	if err := confined.Seal(); err != nil {
		return nil, fmt.Errorf("keep descriptors from signing processes: %w", err)
	}
	return start(confined.Command(context.Background(), confined.Binary(shift.Subcommand), shift.Subcommand))
}

func start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{}), waiting: make(map[uint32]asker)}
	from, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.to, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		// The kernel kills the process when the thread that started it ends, so the thread must not end before.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		read := make(chan struct{})
		go func() {
			p.read(from)
			close(read)
		}()
		<-read
		_ = cmd.Process.Kill() // it may have sent an answer without a request
		_ = cmd.Wait()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start a signing process: %w", err)
	}
	return p, nil
}

// read passes answers on until the process ends.
func (p *Process) read(from io.Reader) {
	for {
		answer := make([]byte, shift.AnswerLen)
		if _, err := io.ReadFull(from, answer); err != nil {
			return
		}
		id := binary.BigEndian.Uint32(answer)
		p.mu.Lock()
		asker, ok := p.waiting[id]
		delete(p.waiting, id)
		p.mu.Unlock()
		if !ok {
			return
		}
		asker.late.Stop()
		asker.answer <- answer[4:] // it has room for one
	}
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Close ends the process after its answers to earlier requests, or kills it after some seconds. It waits for that.
func (p *Process) Close() {
	_ = p.to.Close()
	select {
	case <-p.ended:
	case <-time.After(endDeadline):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// Key is a key pair of a signing process.
type Key struct {
	jwks.Key
	process *Process
	number  uint16
}

// Generate makes a key pair, of which a process can have shift.MaxKeys. Errors: ErrEnded, the context's.
func (p *Process) Generate(ctx context.Context) (*Key, error) {
	p.mu.Lock()
	number := p.keys
	p.keys++
	p.mu.Unlock()
	if number >= shift.MaxKeys {
		return nil, errors.New("the signing process has the maximum number of keys")
	}
	modulus, err := p.ask(ctx, shift.Request{Op: shift.Generate, Key: number}, generateDeadline)
	if err != nil {
		return nil, err
	}
	key, err := jwks.FromModulus(modulus)
	if err != nil {
		_ = p.cmd.Process.Kill()
		return nil, fmt.Errorf("the signing process made an invalid key: %w", err)
	}
	return &Key{Key: key, process: p, number: number}, nil
}

// Sign returns the RS256 signature of a SHA-256 digest. Errors: ErrEnded, the context's.
func (k *Key) Sign(ctx context.Context, digest [shift.DigestLen]byte) ([]byte, error) {
	return k.process.ask(ctx, shift.Request{Op: shift.Sign, Key: k.number, Digest: digest}, signDeadline)
}

// ask sends a request and waits for its answer. A process that does not answer in time is killed.
func (p *Process) ask(ctx context.Context, r shift.Request, deadline time.Duration) ([]byte, error) {
	answer := make(chan []byte, 1)
	late := time.AfterFunc(deadline, func() { _ = p.cmd.Process.Kill() })
	if err := p.send(&r, asker{answer, late}); err != nil {
		late.Stop()
		return nil, err
	}
	select {
	case content := <-answer:
		return content, nil
	case <-p.ended:
		late.Stop()
		return nil, ErrEnded
	case <-ctx.Done(): // read drops the answer
		return nil, context.Cause(ctx)
	}
}

func (p *Process) send(r *shift.Request, a asker) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastID++
	r.ID = p.lastID
	p.waiting[r.ID] = a
	if _, err := p.to.Write(r.Append(make([]byte, 0, shift.RequestLen))); err != nil {
		delete(p.waiting, r.ID)
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	return nil
}
