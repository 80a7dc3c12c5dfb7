package sign

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz/sign/shift"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newProcess(t *testing.T) *Process {
	t.Helper()
	p, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func generate(t *testing.T, p *Process) *Key {
	t.Helper()
	key, err := p.Generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSign(t *testing.T) {
	p := newProcess(t)
	keys := []*Key{generate(t, p), generate(t, p)}
	if keys[0].KID() == keys[1].KID() {
		t.Error("both keys are the same")
	}
	var work sync.WaitGroup
	for i := range 40 {
		work.Go(func() {
			digest, key := [shift.DigestLen]byte{byte(i)}, keys[i%2]
			signature, err := key.Sign(t.Context(), digest)
			if err != nil || rsa.VerifyPKCS1v15(key.PublicKey(), crypto.SHA256, digest[:], signature) != nil {
				t.Errorf("a signature is invalid (%v)", err)
			}
		})
	}
	work.Wait()
}

// When a process is closed or killed, its keys sign no more.
func TestEnd(t *testing.T) {
	for name, end := range map[string]func(*Process){
		"closed": (*Process).Close,
		"killed": func(p *Process) { _ = p.cmd.Process.Kill() },
		"killed, then closed": func(p *Process) {
			_ = p.cmd.Process.Signal(syscall.SIGKILL)
			p.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProcess(t)
			key := generate(t, p)
			end(p)
			<-p.Ended()
			if _, err := key.Sign(t.Context(), [shift.DigestLen]byte{}); !errors.Is(err, ErrEnded) {
				t.Errorf("got %v", err)
			}
			if len(p.waiting) > 0 {
				t.Error("a request is remembered")
			}
		})
	}
}

// A caller whose context ends does not wait for the answer, and the process goes on.
func TestCancel(t *testing.T) {
	p := newProcess(t)
	key := generate(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = key.Sign(ctx, [shift.DigestLen]byte{})
	if _, err := key.Sign(t.Context(), [shift.DigestLen]byte{}); err != nil {
		t.Error(err)
	}
}

// A process that does not answer is killed even if nobody waits for the answer any longer. Otherwise all later callers would wait
// for it, too.
func TestNoAnswer(t *testing.T) {
	p, err := start(exec.Command("/bin/sh", "-c", "exec sleep 100"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.ask(ctx, shift.Request{Op: shift.Generate}, 50*time.Millisecond); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-p.Ended():
	case <-time.After(20 * time.Second):
		t.Fatal("the process goes on")
	}
	if _, err := p.ask(t.Context(), shift.Request{Op: shift.Generate}, time.Minute); !errors.Is(err, ErrEnded) {
		t.Errorf("got %v", err)
	}
}

// Another program, or one that sends an answer to nothing, is killed.
func TestAnotherProgram(t *testing.T) {
	for _, script := range []string{"exit 0", "head -c 300 /dev/zero; exec sleep 100", "head -c 39 > /dev/null"} {
		p, err := start(exec.Command("/bin/sh", "-c", script))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Generate(t.Context()); !errors.Is(err, ErrEnded) {
			t.Errorf("%s: got %v", script, err)
		}
		<-p.Ended()
	}
	if _, err := start(exec.Command("/no/such/program")); err == nil {
		t.Error("a missing program was started")
	}
}

// BenchmarkSign shows what a signature costs with the pipes, with as many callers as the exchange has for two CPUs.
func BenchmarkSign(b *testing.B) {
	p, err := Start()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	key, err := p.Generate(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(3)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := key.Sign(b.Context(), [shift.DigestLen]byte{}); err != nil {
				b.Error(err)
			}
		}
	})
}
