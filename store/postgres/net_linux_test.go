package postgres

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/burnkey/burnkey/internal/testkit"
)

func TestReadable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dial := func() (here, there net.Conn) {
		here, err := dialer(callTimeout).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = here.Close() })
		if there, err = listener.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = there.Close() })
		return here, there
	}
	here, there := dial()
	if readable(here) {
		t.Error("a silent connection is readable")
	}
	if _, err := there.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "what was sent is seen", func() bool { return readable(here) })
	var b [1]byte
	if _, err := io.ReadFull(here, b[:]); err != nil || b[0] != 'x' || readable(here) {
		t.Errorf("what was sent was taken away: %v", err)
	}
	_ = there.Close()
	testkit.Eventually(t, "the end is seen", func() bool { return readable(here) })
	_ = here.Close()
	if !readable(here) {
		t.Error("a closed connection is not readable")
	}

	// While another goroutine waits in Read.
	here, there = dial()
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		_, _ = here.Read(b[:])
	}()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range 100 { // the reader needs a moment to begin
			<-tick.C
			readable(here)
		}
	}()
	select {
	case <-looked:
	case <-time.After(callTimeout):
		t.Error("waits for a reader")
	}
	_ = there.Close()
	<-reading
	<-looked

	raw, err := here.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var ms int
	if errControl := raw.Control(func(fd uintptr) {
		ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); errControl != nil || err != nil || ms != 10000 {
		t.Errorf("TCP_USER_TIMEOUT is %d ms, %v, %v", ms, errControl, err)
	}
}
