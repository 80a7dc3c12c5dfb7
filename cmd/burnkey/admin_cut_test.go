package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/sqlite"
)

// Entries are archived before they are cut, and none is cut if the file can't be created.
func TestTheAuditIsArchivedAndCut(t *testing.T) {
	folder := t.TempDir()
	database, file := filepath.Join(folder, "burnkey.db"), filepath.Join(folder, "audit.jsonl")
	st, err := sqlite.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	n := [jwks.ModulusLen]byte{0: 0x80, jwks.ModulusLen - 1: 1}
	tombstone, err := jwks.FromModulus(n[:])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.CreateWorkspace(t.Context(), store.Workspace{ID: "acme", Name: "acme", CreatedAt: time.Now()}, tombstone); err != nil {
		t.Fatal(err)
	}
	const old = store.AuditCut + 200
	for i := range old {
		at := time.Now().Add(-48*time.Hour - time.Duration(i)*time.Second)
		if err := st.Record(t.Context(), store.Entry{Workspace: "acme", At: at, Action: "x", Owner: "o<1>"}); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (actions []string) {
		entries, _, err := st.Audit(t.Context(), "acme", store.AuditFilter{Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			actions = append(actions, e.Action)
		}
		return actions
	}
	cut := func(args ...string) (string, error) {
		cmd := auditCutCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append([]string{"--database", "sqlite:" + database}, args...))
		cmd.SilenceUsage = true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	for _, args := range [][]string{
		{"--before", "1h", "--archive", file},
		{"--before", "24h"},
		{"--before", "24h", "--archive", database},
	} {
		if _, err := cut(args...); err == nil || len(left()) != old+1 {
			t.Fatalf("%v: %v, and %d entries are left", args, err, len(left()))
		}
	}
	_, err = cut("--before", "24h", "--archive", file, "--workspace", "none")
	if err == nil || !strings.Contains(err.Error(), `--workspace: no workspace "none"`) || len(left()) != old+1 {
		t.Fatalf("%v, and %d entries are left", err, len(left()))
	}
	out, err := cut("--before", "24h", "--archive", file)
	if err != nil || !strings.Contains(out, "acme: 1200 entries") {
		t.Fatal(out, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "\n") != old || strings.Count(string(text), `"owner":"o<1>"`) != old {
		t.Errorf("the file has %d lines, %v", strings.Count(string(text), "\n"), err)
	}
	if got := strings.Join(left(), " "); got != "audit.cut audit.cut workspace.create" {
		t.Errorf("left are %s", got)
	}
}
