package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

func TestE2ECLIEnvoyConfig(t *testing.T) {
	config := func(more ...string) []string {
		return append([]string{
			"envoy", "config", "--server", "http://127.0.0.1:8080", "--workspace", "acme", "--workspace", "beta",
			"--listen", "127.0.0.1:10000", "--upstream", "127.0.0.1:9000", "--audience", "acme-company",
		}, more...)
	}
	bootstrap := run(t, config()...).ok(t).stdout
	says(t, bootstrap, "static_resources", "/v1/auth/oauth/acme", "/v1/auth/oauth/beta", "async_fetch", `- "acme-company"`)
	if run(t, config("--format", "bootstrap", "--mode", "pull", "--cache", "5s")...).ok(t).stdout != bootstrap {
		t.Error("the defaults are not what they are said to be")
	}
	filter := run(t, config("--format", "filter")...).ok(t).stdout
	if says(t, filter, "jwt_authn", "/v1/auth/oauth/acme"); strings.Contains(filter, "static_resources") {
		t.Error("the filter is a bootstrap")
	}
	says(t, run(t, config("--format", "espv2", "--service-name", "maps.example.com")...).ok(t).stdout,
		"swagger:", "x-google-issuer", "x-google-jwks_uri", "--jwt_cache_size=0", "maps.example.com", "/v1/auth/oauth/beta")
	for flags, want := range map[string]string{
		"--format xml": "--format", "--mode push": "--mode", "--mode gateway": "--gateway", "--gateway 127.0.0.1:1": "--gateway",
		"--mode gateway --gateway 127.0.0.1:1": "--workspace", "--mode gateway --gateway x": "--gateway",
		"--mode gateway --gateway 127.0.0.1:1 --format espv2": "--format",
		"--cache 500ms": "--cache", "--cache soon": "--cache",
		"--listen x": "--listen", "--listen localhost:1": "--listen", "--upstream x": "--upstream", "--admin x": "--admin",
		"--server x": "--server", "--public-url x": "--public-url", "--workspace A": "--workspace", "--ca-file x": "--ca-file",
		"--no-such-flag": "--no-such-flag", "--any-audience": "--any-audience: cannot be combined with --audience",
		"--workspace burnkey": "--workspace: must not be burnkey", "--mode gateway --gateway 127.0.0.1:1 --any-audience": "--workspace",
	} {
		run(t, config(strings.Fields(flags)...)...).fails(t, want)
	}
	run(t, "envoy", "config", "--listen", "127.0.0.1:1", "--upstream", "127.0.0.1:2").fails(t, "--workspace")
	run(t, "envoy", "config", "--workspace", "acme", "--any-audience", "--upstream", "127.0.0.1:2").fails(t, "--listen")
	run(t, "envoy", "config", "--workspace", "acme", "--format", "filter").fails(t, "--audience: must be the audience of this API")
	run(t, "envoy", "config", "--workspace", "burnkey", "--any-audience", "--insecure-management-keys", "--format", "filter").ok(t)
	run(t, "envoy", "config", "--workspace", "acme", "--listen", "127.0.0.1:1", "--upstream", "127.0.0.1:2",
		"--audience=").fails(t, "--audience")
	mode := []string{
		"envoy", "config", "--mode", "gateway", "--gateway", "127.0.0.1:3", "--listen", "127.0.0.1:1", "--upstream",
		"127.0.0.1:2",
	}
	run(t, append(mode, "--workspace", "acme")...).fails(t, "burnkey: --workspace: has no effect with --mode gateway")
	command{args: mode, env: []string{"BURNKEY_WORKSPACE=acme"}}.run(t).fails(t,
		"BURNKEY_WORKSPACE (--workspace): has no effect with --mode gateway")
	t.Run("Envoy takes it", func(t *testing.T) { envoytest.Validate(t, bootstrap) })
}

func TestE2ECLICompletion(t *testing.T) {
	script := run(t, "completion", "bash").ok(t).stdout
	says(t, script, "__start_burnkey")
	if bash, err := exec.LookPath("bash"); err == nil {
		cmd := exec.Command(bash, "-n")
		cmd.Stdin = strings.NewReader(script)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("bash does not read it: %v\n%s", err, out)
		}
	}
	for _, shell := range []string{"zsh", "fish", "powershell"} {
		says(t, run(t, "completion", shell).ok(t).stdout, "burnkey")
	}
	for line, want := range map[string][]string{
		"":                           {"serve", "key", "workspace", "verify", "envoy"},
		"key ":                       {"issue", "list", "show", "revoke", "revoke-many"},
		"envoy config --format ":     {"bootstrap", "filter", "espv2"},
		"key list --status ":         {"active", "revoked", "expired"},
		"workspace list --output ":   {"table", "json"},
		"audit list --output ":       {"table", "json", "csv"},
		"serve --admin-key-file --d": {},
	} {
		// A shell calls __complete with the words typed so far; the last is empty to start a new word.
		r := run(t, slices.Concat([]string{"__complete"}, strings.Split(line, " "))...)
		says(t, r.stdout, want...)
		if strings.Contains(r.stdout, "mint-one-key") {
			t.Error("the minting process is offered")
		}
	}
}

// Strings from another server cannot move the cursor.
func TestE2ECLIShowsNoControls(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"detail":"a\u001b]0;b\u0007","errors":[{"field":"\u001b[2J","detail":"\u009bc\u202e"}]}`)
	}))
	defer h.Close()
	r := command{args: []string{"workspace", "list", "--server", h.URL}, env: []string{"BURNKEY_KEY=x"}}.run(t)
	if r.fails(t, "]0;b"); strings.ContainsFunc(r.stderr, func(c rune) bool { return c != '\n' && (c < ' ' || c == 0x9b || c == 0x202e) }) {
		t.Errorf("shown: %q", r.stderr)
	}
}

func TestE2ECLIHelpAndMistakes(t *testing.T) {
	help := run(t, "--help").ok(t).stdout
	says(t, help, "serve", "admin", "workspace", "key", "envoy", "verify", "completion", "BURNKEY_")
	if strings.Contains(help, "mint-one-key") {
		t.Error("the minting process is shown")
	}
	says(t, run(t, "--version").ok(t).stdout, "burnkey")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--no-such-flag"}, "--no-such-flag"},
		{[]string{"nonsense"}, "nonsense"},
		{[]string{"key", "list", "-w", "acme", "--no-such-flag"}, "--no-such-flag"},
		{[]string{"verify"}, "arg"},
		{[]string{"verify", "a", "b"}, "arg"},
		{[]string{"workspace", "list", "extra"}, "takes no arguments"},
		{[]string{"key", "list", "--limit", "-1", "-w", "acme", "--key-file", "x"}, "--limit"},
		{[]string{"mint-one-key", "x"}, "mint-one-key"},
		{[]string{"key", "nonsense"}, "nonsense"},
		{[]string{"envoy", "nonsense"}, "nonsense"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) { run(t, test.args...).fails(t, test.want) })
	}
	// A minting process without input prints nothing.
	if r := run(t, "mint-one-key"); r.code == 0 || r.stdout != "" || r.stderr != "" {
		t.Errorf("exit status %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}
