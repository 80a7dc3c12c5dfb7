package e2e_test

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func randomModuli(t *testing.T, n int) []*big.Int {
	t.Helper()
	var all []*big.Int
	for range n {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		check(t, err)
		all = append(all, private.N)
	}
	return all
}

func number(t *testing.T, hex string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(hex, 16)
	if !ok {
		t.Fatalf("no number: %q", hex)
	}
	return n
}

func scanAll(moduli []*big.Int, data []byte) (found [][]byte) {
	s := newScanner(moduli)
	s.scan(data)
	for _, p := range s.primes() {
		found = append(found, p.Bytes())
	}
	return found
}

func needsProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("no /proc here")
	}
	if os.Getuid() != 0 {
		absent(t, "not root: the server's memory is root's alone to read")
	}
}

// region is a readable region of a process's memory.
type region struct {
	from, to uint64
	name     string
}

func regions(t *testing.T, pid int) (all []region) {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	check(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r region
		var mode, skip string
		n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %s %s", &r.from, &r.to, &mode, &skip, &skip, &skip, &r.name)
		if n < 6 {
			t.Fatalf("invalid line of maps: %s", lines.Text())
		}
		if mode[0] == 'r' {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		t.Fatal("no readable memory")
	}
	return all
}

// scanProcess pauses a process, scans its readable memory, and lets it continue. It returns the number of
// bytes.
func scanProcess(t *testing.T, s *scanner, pid int) (total int) {
	t.Helper()
	for _, r := range readProcess(t, pid) {
		s.scan(r)
		total += len(r)
	}
	return total
}

func readProcess(t *testing.T, pid int) (all [][]byte) {
	t.Helper()
	process, err := os.FindProcess(pid)
	check(t, err)
	check(t, process.Signal(syscall.SIGSTOP))
	defer func() { check(t, process.Signal(syscall.SIGCONT)) }()
	eventually(t, "the process stands still", func() bool { return statOf(pid).state == "T" })
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	check(t, err)
	defer mem.Close()
	for _, r := range regions(t, pid) {
		content := make([]byte, r.to-r.from)
		n, err := mem.ReadAt(content, int64(r.from))
		// No process can read the kernel's own pages, which contain the time.
		if kernel := strings.HasPrefix(r.name, "[v"); err != nil && !errors.Is(err, io.EOF) && !kernel {
			t.Fatalf("%x-%x %s: %v", r.from, r.to, r.name, err)
		}
		if n > 0 {
			all = append(all, content[:n])
		}
	}
	return all
}

// loot is the data that a thief could get.
type loot struct {
	moduli []*big.Int
	tokens []string
	files  map[string][]byte // and what else can be read from outside
}

// TestE2ENothingToSteal issues keys, revokes some, and then reads all data of the server. No data must contain
// a prime of a key, and stored data must contain no token or signature.
func TestE2ENothingToSteal(t *testing.T) {
	needsProc(t)
	n := scale(t, "BURNKEY_E2E_THEFT_KEYS", 64, 20)
	s := startServer(t, "--log-level", "debug")
	took := issueSome(t, s, n)
	got := collect(t, s)
	got.tokens = append(took.tokens, s.key())
	got.moduli = append(took.moduli, moduliOf(s, "acme", "burnkey")...)
	got.moduli = slices.CompactFunc(sorted(got.moduli), func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
	if len(got.moduli) != n+3 || len(got.tokens) != n+1 {
		t.Fatalf("%d moduli and %d tokens, want those of %d keys, the first admin key and 2 tombstones", len(got.moduli), len(got.tokens), n)
	}
	t.Run("primes in memory", func(t *testing.T) { noPrimesInMemory(t, s, got.moduli) })
	t.Run("primes in what is kept", func(t *testing.T) { noPrimesInFiles(t, got) })
	t.Run("tokens and signatures", func(t *testing.T) { noTokens(t, got) })
}

// issueSome issues keys with several clients, and revokes one key in five.
func issueSome(t *testing.T, s *server, n int) (got loot) {
	t.Helper()
	admin := s.admin()
	admin.mustCreate(t, "acme")
	var mu sync.Mutex
	parallel(4, n, func(i int) {
		k, err := admin.issue("acme", map[string]any{"owner": fmt.Sprintf("cust_%d", i%7), "scopes": []string{"maps:read"}})
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		got.tokens = append(got.tokens, k.Token)
		if i%5 == 0 {
			got.moduli = append(got.moduli, s.mustPublished("acme").moduli[k.KID])
			revokeSomehow(t, s, admin, k, i)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	misuse(s, admin, got.tokens[:3])
	return got
}

// misuse sends tokens in places where they do not belong, and where a careless server would log them.
func misuse(s *server, admin *client, tokens []string) {
	for _, token := range tokens {
		_ = (&client{s.url, token}).call("GET", "/v1/workspaces", nil, nil)
		s.get("/v1/workspaces/" + token + "?token=" + token)
		s.get("/v1/auth/oauth/" + token + "/.well-known/jwks.json?kid=" + token)
		_, _ = admin.issue("acme", map[string]any{"owner": "x", "scopes": []string{token + `"`}, "claims": map[string]any{"jti": token}})
		_ = admin.call(token[:20], "/"+token, nil, nil)
	}
}

func revokeSomehow(t *testing.T, s *server, admin *client, k key, i int) {
	t.Helper()
	if i%2 == 0 {
		admin.mustRevoke(t, k)
		return
	}
	resp, err := plainHTTP.PostForm(s.issuer("acme")+"/revoke", map[string][]string{"token": {k.Token}})
	check(t, err)
	resp.Body.Close()
}

func moduliOf(s *server, workspaces ...string) (all []*big.Int) {
	for _, workspace := range workspaces {
		for _, n := range s.mustPublished(workspace).moduli {
			all = append(all, n)
		}
	}
	return all
}

func sorted(numbers []*big.Int) []*big.Int {
	return slices.SortedFunc(slices.Values(numbers), (*big.Int).Cmp)
}

// collect reads the data that the running server has stored and printed.
func collect(t *testing.T, s *server) (got loot) {
	t.Helper()
	_, metrics := s.get("/metrics")
	got.files = map[string][]byte{"metrics": []byte(metrics)}
	for name, file := range map[string]string{
		"database": s.databaseFile(), "WAL": s.databaseFile() + "-wal", "shared memory": s.databaseFile() + "-shm", "log": s.logFile,
	} {
		content, err := os.ReadFile(file)
		check(t, err)
		got.files[name] = content
	}
	for name, content := range got.files {
		if len(content) < 1000 {
			t.Errorf("%s: %d bytes only", name, len(content))
		}
	}
	return got
}

func noPrimesInMemory(t *testing.T, s *server, moduli []*big.Int) {
	start := time.Now()
	scan := newScanner(moduli)
	total := scanProcess(t, scan, s.pid())
	found := scan.primes()
	t.Logf("%d MB of memory, %d million windows in %d orders, %d left to divide into %d moduli: %d primes, in %s",
		total>>20, scan.windows/1e6, len(scan.orders), scan.candidates, len(moduli), len(found), time.Since(start).Round(time.Second))
	if len(found) > 0 {
		t.Errorf("the server's memory holds %d primes of issued keys", len(found))
	}
	if code, _ := s.get("/readyz"); code != 200 {
		t.Errorf("the server does not go on after the look at its memory: %d", code)
	}
}
