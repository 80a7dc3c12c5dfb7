package e2e_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
	"github.com/burnkey/burnkey/store/storetest"
)

// TestE2EManyWorkspaces follows many workspaces with one gateway: over one connection, with few descriptors and
// little memory, ready from its folder without the server; and a new workspace counts at once.
func TestE2EManyWorkspaces(t *testing.T) {
	if runtime.GOOS != "linux" {
		absent(t, "the descriptors of a process are read from /proc")
	}
	t.Parallel()
	n := scale(t, "BURNKEY_E2E_WORKSPACES", 300, 100)
	s := startServer(t, "--log-level", "warn")
	admin := s.admin()
	admin.mustCreate(t, "acme")
	keyFile := gatewayKey(t, admin, map[string]any{})

	empty := startAsked(t, s, "--key-file", keyFile)
	memory := empty.number(t, "process_resident_memory_bytes")
	empty.stop()

	addWorkspaces(t, s, n)
	eventually(t, "the server has all workspaces", func() bool {
		have, _ := s.metric("burnkey_workspaces")
		return int(have) == n+2 // and burnkey and acme
	})
	token := admin.mustIssue(t, "acme").Token
	gate := newAsked(t, s.url, "--key-file", keyFile)
	start := time.Now()
	gate.start()
	gate.ready()
	cold := time.Since(start)
	if have := int(gate.number(t, "burnkey_gateway_workspaces")); have != n+1 {
		t.Fatalf("the gateway follows %d workspaces", have)
	}
	accepts := gate.checker(t)
	if !accepts(token) {
		t.Fatal("a key is refused")
	}
	each := (gate.number(t, "process_resident_memory_bytes") - memory) / float64(n)
	files, sockets := gate.descriptors(t)
	t.Logf("%d workspaces: ready in %s, %.1f KB each, %d descriptors, %d of them sockets", n, cold, each/1e3, files, sockets)
	if files >= 100 || n >= 1000 && each > 10e3 {
		t.Error("the gateway's use of descriptors or memory grows with workspaces")
	}
	before, of, seconds := gate.number(t, "process_cpu_seconds_total"), s.cpu(t), scale(t, "BURNKEY_E2E_WORKSPACES_IDLE", 1, 1)
	idle := time.NewTimer(time.Duration(seconds) * time.Second)
	<-idle.C
	t.Logf("while nothing happens, the gateway takes %.2f %% of a core, the server %.2f %%",
		(gate.number(t, "process_cpu_seconds_total")-before)/float64(seconds)*100, (s.cpu(t)-of).Seconds()/float64(seconds)*100)

	newWorkspacesCount(t, admin, accepts)

	gate.stop()
	s.stop()
	start = time.Now()
	gate.start()
	gate.ready()
	t.Logf("ready from the folder, without the server, in %s", time.Since(start))
	if !gate.checker(t)(token) {
		t.Error("a key is refused while the server is down")
	}
	if stored, err := os.ReadDir(gate.stateDir()); err != nil || len(stored) > 8 {
		t.Errorf("%d files in the folder, %v", len(stored), err)
	}
}

// newWorkspacesCount measures how long after its issue a key of a new workspace is accepted.
func newWorkspacesCount(t *testing.T, admin *client, accepts func(string) bool) {
	t.Helper()
	var took spread
	for i := range scale(t, "BURNKEY_E2E_WORKSPACES_NEW", 5, 3) {
		workspace := fmt.Sprint("new-", i)
		admin.mustCreate(t, workspace)
		token := admin.mustIssue(t, workspace).Token
		issued := time.Now()
		eventually(t, "a key of a new workspace is accepted", func() bool { return accepts(token) })
		took = append(took, time.Since(issued))
	}
	t.Logf("a key of a new workspace is accepted after %s", took)
}

// addWorkspaces writes workspaces directly to the database: to make their tombstones takes a tenth of a second each.
func addWorkspaces(t *testing.T, s *server, n int) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), s.databaseFile())
	check(t, err)
	defer st.Close()
	for i := range n {
		w := store.Workspace{ID: fmt.Sprintf("w%05d", i), Name: "w", Audiences: []string{"maps"}, CreatedAt: time.Now()}
		_, err := st.CreateWorkspace(t.Context(), w, storetest.NewKey(t))
		check(t, err)
	}
}

func (a *asked) stateDir() string { return a.flags[slices.Index(a.flags, "--state-dir")+1] }

// number returns a metric without labels.
func (a *asked) number(t *testing.T, name string) float64 {
	t.Helper()
	_, text := a.get("/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	check(t, err)
	family := families[name]
	if family == nil {
		t.Fatalf("no metric %s", name)
	}
	m := family.Metric[0]
	return math.Max(m.GetGauge().GetValue(), m.GetCounter().GetValue())
}

// descriptors counts the open files of the service, and the sockets among them.
func (a *asked) descriptors(t *testing.T) (files, sockets int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", a.cmd.Process.Pid)
	open, err := os.ReadDir(dir)
	check(t, err)
	for _, file := range open {
		if target, _ := os.Readlink(filepath.Join(dir, file.Name())); strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return len(open), sockets
}
