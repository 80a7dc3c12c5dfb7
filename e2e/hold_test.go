package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// holdVariable turns the test binary into a process whose memory has known content. The scan must find it.
const holdVariable = "BURNKEY_E2E_HOLD"

// hold acts according to the variable until standard input ends: "generate" makes a key pair, as a server
// without minting processes would, and prints the modulus; "keep" stores bytes that it reads in hex.
func hold() int {
	in := bufio.NewReader(os.Stdin)
	var kept any
	switch os.Getenv(holdVariable) {
	case "generate":
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return 1
		}
		kept = private
		fmt.Printf("%x\n", private.N)
	case "keep":
		line, err := in.ReadString('\n')
		if err != nil {
			return 1
		}
		planted, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return 1
		}
		kept = planted
		fmt.Println("ready")
	}
	_, _ = io.Copy(io.Discard, in)
	runtime.KeepAlive(kept)
	return 0
}

// startHolder runs a process that calls hold until the test ends, and returns its PID and its output.
func startHolder(t *testing.T, what, line string) (pid int, answer string) {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	cmd := exec.Command(self)
	cmd.Env = environment(holdVariable + "=" + what)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	_, err = io.WriteString(in, line+"\n")
	check(t, err)
	answer, err = bufio.NewReader(out).ReadString('\n')
	check(t, err)
	return cmd.Process.Pid, strings.TrimSpace(answer)
}

// filler returns random bytes, to surround a prime in memory.
func filler(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// arrange writes a number in the given byte order.
func arrange(number []byte, o order) []byte {
	window := make([]byte, primeLen)
	for i, place := range o.at {
		window[place] = number[i]
	}
	return window
}

// TestE2EScanFindsPrimes checks the scan itself: it finds primes that are in memory, and reports none that are
// not.
func TestE2EScanFindsPrimes(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	moduli := append(randomModuli(t, 3), private.N)
	p, q := private.Primes[0].FillBytes(make([]byte, primeLen)), private.Primes[1].FillBytes(make([]byte, primeLen))

	t.Run("bytes", func(t *testing.T) {
		for i, o := range orders() {
			for _, before := range []int{0, 1, 7, 64 + i, 4095} {
				for _, prime := range [][]byte{p, q} {
					data := bytes.Join([][]byte{filler(before), arrange(prime, o), filler(before)}, nil)
					if got := scanAll(moduli, data); len(got) != 1 || !bytes.Equal(got[0], prime) {
						t.Errorf("%s at %d: found %d", o.name, before, len(got))
					}
				}
			}
		}
	})
	t.Run("beside zeros", func(t *testing.T) {
		const page = 4 << 10
		for _, at := range []int{1, page - primeLen, page - 1, page, 3*page - 64, 3 * page, 5*page - primeLen} {
			data := make([]byte, 5*page)
			copy(data[at:], p)
			if got := scanAll(moduli, data); len(got) != 1 {
				t.Errorf("at %d: found %d", at, len(got))
			}
		}
	})
	t.Run("nothing", func(t *testing.T) {
		near := bytes.Clone(p)
		near[64]++
		others := randomModuli(t, 1)
		for name, data := range map[string][]byte{
			"random": filler(1 << 17), "all but one byte": near, "cut short": p[:primeLen-1],
			"the modulus": private.N.Bytes(), "a prime of another's": others[0].Bytes(),
		} {
			if got := scanAll(moduli, data); len(got) != 0 {
				t.Errorf("%s: found %d", name, len(got))
			}
		}
	})
	t.Run("a process that was told", func(t *testing.T) {
		needsProc(t)
		for _, o := range orders()[:2] {
			planted := bytes.Join([][]byte{filler(1001), arrange(p, o), filler(333), arrange(q, o), filler(77)}, nil)
			pid, _ := startHolder(t, "keep", hex.EncodeToString(planted))
			s := newScanner(moduli)
			scanProcess(t, s, pid)
			if got := s.primes(); len(got) != 2 {
				t.Errorf("%s: found %d, want 2", o.name, len(got))
			}
		}
	})
	t.Run("a process that makes keys itself", func(t *testing.T) {
		needsProc(t)
		pid, modulus := startHolder(t, "generate", "")
		s := newScanner(append(randomModuli(t, 1), number(t, modulus)))
		scanProcess(t, s, pid)
		if got := s.primes(); len(got) != 2 {
			t.Errorf("found %d, want 2", len(got))
		}
	})
}
