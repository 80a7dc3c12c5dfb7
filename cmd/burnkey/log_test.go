package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestUnknownVariables(t *testing.T) {
	root := rootCommand()
	for pair, want := range map[string]string{
		"BURNKEY_LISTN=x": "BURNKEY_LISTN in the environment has no effect: no command has such a flag; did you mean BURNKEY_LISTEN?",
		"BURNKEY_AUDIENCES=x": "BURNKEY_AUDIENCES in the environment has no effect: no command has such a flag; did you mean " +
			"BURNKEY_AUDIENCE?",
		"BURNKEY_KEYFILE=x":           "did you mean BURNKEY_KEY_FILE?",
		"BURNKEY_Listen=x":            "did you mean BURNKEY_LISTEN?",
		"burnkey_listen=x":            "did you mean BURNKEY_LISTEN?",
		"BURNKEY_PUBLIC-URL=x":        "did you mean BURNKEY_PUBLIC_URL?",
		"BURNKEY_NOTHING_LIKE_IT=x":   "BURNKEY_NOTHING_LIKE_IT in the environment has no effect: no command has such a flag",
		"BURNKEY_PORT=x":              "BURNKEY_PORT in",
		"BURNKEY_=x":                  "BURNKEY_ in",
		"BURNKEY_LISTEN=x":            "",
		"BURNKEY_STATE_DIR=x":         "",
		"BURNKEY_KEY=x":               "",
		"BURNKEY_KEY_FILE=x":          "",
		"BURNKEY_BIN=x":               "",
		"BURNKEYS_LISTEN=x":           "",
		"BURNKEY_DB_SERVICE_HOST=x":   "",
		"BURNKEY_DB_PORT_1_TCP=x":     "",
		"BURNKEY_DB_SERVICE_PORT_X=x": "",
	} {
		got := unknownVariables(root, []string{"PATH=/bin", pair, "BURNKEY_DB_SERVICE_HOST=10.0.0.1"})
		if want == "" && len(got) > 0 || want != "" &&
			(len(got) != 1 || !strings.HasPrefix(got[0], pair[:strings.Index(pair, "=")]) || !strings.Contains(got[0], want)) {
			t.Errorf("%s: %q, want %q", pair, got, want)
		}
	}
}

func TestPlainAbroad(t *testing.T) {
	for url, want := range map[string]bool{
		"http://keys.example": true, "http://10.0.0.1:8080": true, "HTTP://keys.example": true, "http://[2001:db8::1]": true,
		"http://burnkey:8080/x":    true,
		"http://localhost.example": true, "http://0.0.0.0": true,
		"https://keys.example": false, "http://127.0.0.1:8080": false, "http://127.9.9.9": false, "http://[::1]:1": false,
		"http://localhost":    false,
		"http://LOCALHOST.:1": false, "http://a.localhost": false, "": false, "jwks.json": false, "/tmp/x": false,
	} {
		if isPlainAbroad(url) != want {
			t.Errorf("%s: %v", url, !want)
		}
	}
}

// If a command starts despite a mistake in its settings, it warns about the mistake. The warning is JSON if the
// command logs JSON.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		args, variable string
		want           []string
	}{
		{"workspace list --server http://keys.invalid", "", []string{"burnkey: warning: --server: with plain HTTP to another machine"}},
		{
			"workspace list", "BURNKEY_SERVER=http://keys.invalid",
			[]string{"burnkey: warning: BURNKEY_SERVER (--server): with plain HTTP to another machine"},
		},
		{"verify - --jwks http://keys.invalid/x", "", []string{"burnkey: warning: --jwks: with plain HTTP"}},
		{"verify x", "", []string{"burnkey: warning: other users of this machine can read a token"}},
		{"verify -", "BURNKEY_JKWS=x", []string{"burnkey: warning: BURNKEY_JKWS in the environment has no effect"}},
		{
			"admin issue --public-url x --database postgres://u:pw@127.0.0.1:1/x", "",
			[]string{"burnkey: warning: --database: other users of this machine can read a password"},
		},
		{
			"envoy config -w a --audience b --format filter --server http://keys.invalid", "",
			[]string{"burnkey: warning: --server: with plain HTTP"},
		},
		{"envoy config -w a --audience b --format filter --admin 0.0.0.0:9901", "", []string{"burnkey: warning: --admin: anyone who reaches"}},
		{"envoy config -w a --audience b --format filter --admin 127.0.0.1:9901", "", nil},
		{"serve --listen x", "BURNKEY_LISTNE=x", []string{`level=WARN msg="BURNKEY_LISTNE in the environment`}},
		{"gateway --listen x --log-format json", "BURNKEY_LISTNE=x", []string{`"level":"WARN","msg":"BURNKEY_LISTNE in the environment`}},
		{"gateway --listen x --server http://keys.invalid", "", []string{`msg="--server: with plain HTTP to another machine`}},
		{"gateway --listen x --server https://keys.invalid", "BURNKEY_LISTEN=x", nil},
		{"gateway --listen x --redis redis://keys.invalid", "", []string{`msg="--redis: without TLS to another machine`}},
		{"gateway --listen x --redis rediss://:pw@keys.invalid", "", []string{`msg="--redis: other users of this machine can read a password`}},
		{"gateway --listen x", "BURNKEY_REDIS=rediss://:pw@keys.invalid", nil},
	} {
		t.Run(tt.args, func(t *testing.T) {
			if name, value, ok := strings.Cut(tt.variable, "="); ok {
				t.Setenv(name, value)
			}
			cmd := rootCommand()
			var out bytes.Buffer
			cmd.SetArgs(strings.Fields(tt.args))
			cmd.SetErr(&out)
			cmd.SetOut(new(bytes.Buffer))
			cmd.SetIn(strings.NewReader("x"))
			_ = cmd.ExecuteContext(t.Context())
			got := slices.DeleteFunc(strings.Split(out.String(), "\n"),
				func(line string) bool { return !strings.Contains(strings.ToLower(line), "warn") })
			if len(got) != len(tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in:\n%s", want, &out)
				}
			}
		})
	}
}
