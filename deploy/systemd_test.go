package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// settings returns the values of each setting in a unit file, by name.
func settings(t *testing.T, text string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			all[name] = append(all[name], value)
		}
	}
	return all
}

func TestSystemdUnits(t *testing.T) {
	for unit, subcommand := range map[string]string{"burnkey": "serve", "burnkey-gateway": "gateway"} {
		text, err := os.ReadFile("systemd/" + unit + ".service")
		if err != nil {
			t.Fatal(err)
		}
		all := settings(t, string(text))
		for name, want := range map[string]string{
			"User": unit, "StateDirectory": unit, "StateDirectoryMode": "0700", "UMask": "0077", "NoNewPrivileges": "yes",
			"CapabilityBoundingSet": "", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "LimitCORE": "0",
			"ExecStart": "/usr/local/bin/burnkey " + subcommand,
		} {
			if got := all[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", unit, name, got, want)
			}
		}
		for _, pair := range all["Environment"] {
			variable, _, _ := strings.Cut(pair, "=")
			isFlag(t, subcommand, variable)
		}
	}
}

// TestSystemdVerifies has systemd check the units, in which the path of burnkey is replaced by that of a real
// binary.
func TestSystemdVerifies(t *testing.T) {
	verify, binary, dir := tool(t, "systemd-analyze"), burnkey(t), t.TempDir()
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatalf("%d units: %v", len(units), err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, filepath.Base(unit))
		text = []byte(strings.ReplaceAll(string(text), "/usr/local/bin/burnkey", binary))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out := run(t, verify, "verify", "--man=no", file); strings.TrimSpace(out) != "" {
			t.Errorf("%s:\n%s", unit, out)
		}
	}
}
