package e2e_test

import (
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

type doctorFinding struct{ Code, Severity, Target, What, Why, Do, Link string }

// diagnosis is what burnkey doctor reports.
type diagnosis struct {
	Findings []doctorFinding
	code     int
}

// diagnose runs burnkey doctor.
func diagnose(t testing.TB, args ...string) (d diagnosis) {
	t.Helper()
	return command{args: append([]string{"doctor", "--output", "json"}, args...)}.diagnose(t)
}

func (c command) diagnose(t testing.TB) (d diagnosis) {
	t.Helper()
	r := c.run(t)
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	if strings.Contains(r.stdout, "eyJ") {
		t.Error("a finding has a token")
	}
	d.code = r.code
	return d
}

// has fails the test unless the codes are among the findings, and the exit code is that of the gravest finding.
func (d diagnosis) has(t testing.TB, codes ...string) {
	t.Helper()
	for _, code := range codes {
		if !slices.ContainsFunc(d.Findings, func(f doctorFinding) bool {
			return f.Code == code && f.Target != "" && f.What != "" && f.Why != "" && f.Do != "" && strings.HasSuffix(f.Link, "#"+code)
		}) {
			t.Errorf("no finding %s among %+v", code, d.Findings)
		}
	}
	want := 0
	if len(d.Findings) > 0 { // the gravest comes first
		want = map[string]int{"note": 0, "warning": 3, "error": 4}[d.Findings[0].Severity]
	}
	if d.code != want {
		t.Errorf("exit code %d, want %d", d.code, want)
	}
}

// only fails the test unless the findings are exactly these.
func (d diagnosis) only(t testing.TB, codes ...string) {
	t.Helper()
	d.has(t, codes...)
	for _, f := range d.Findings {
		if !slices.Contains(codes, f.Code) {
			t.Errorf("unexpected: %+v", f)
		}
	}
}

// usageKey writes a key with which a gateway may report use.
func usageKey(t testing.TB, admin *client) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "usage.key")
	check(t, os.WriteFile(file, []byte(admin.mustIssue(t, "burnkey", "scopes", []string{"gateway"}).Token), 0o600))
	return file
}

// TestE2EDoctorHealthy examines a server, its database, a gateway that reports use, and an Envoy as rendered.
func TestE2EDoctorHealthy(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustIssue(t, "acme")
	a := startAsked(t, s, "--workspace", "acme", "--usage-key-file", usageKey(t, admin), "--usage-every", "1s")
	for _, mode := range [][]string{
		{"--mode", "gateway", "--gateway", a.addr},
		{"--server", s.url, "--workspace", "acme", "--audience", "acme-company"},
	} {
		g := adminOf(t, mode...)
		args := []string{
			"doctor", "--server", s.url, "--database", s.database(), "--gateway", a.metrics, "--envoy-admin", g, "--key-file", s.keyFile,
		}
		var last result
		eventually(t, "no findings", func() bool { // use is reported after a second
			last = run(t, args...)
			return last.stdout == "no findings\n"
		})
		if last.code != 0 || last.stderr != "" {
			t.Errorf("exit code %d: %s", last.code, last.stderr)
		}
	}
}

// adminOf runs Envoy with the flags of envoy config, and returns the address of its admin interface.
func adminOf(t testing.TB, flags ...string) string {
	t.Helper()
	return adminOfEdited(t, func(s string) string { return s }, flags...)
}

// adminOfEdited is adminOf with a change of the configuration.
func adminOfEdited(t testing.TB, edit func(string) string, flags ...string) string {
	t.Helper()
	admin := envoytest.FreeAddr(t)
	args := append([]string{"envoy", "config", "--listen", envoytest.FreeAddr(t), "--upstream", "127.0.0.1:9", "--admin", admin}, flags...)
	envoytest.Start(t, edit(run(t, args...).ok(t).stdout))
	return admin
}

func TestE2EDoctorEnvoy(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	s.admin().mustCreate(t, "other")
	pull := []string{"--server", s.url, "--workspace", "acme", "--audience", "acme-company"}
	replace := func(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }
	without := func(from, to string) func(string) string {
		return func(text string) string {
			before, rest, _ := strings.Cut(text, from)
			_, after, ok := strings.Cut(rest, to)
			if !ok {
				t.Fatalf("nothing between %q and %q", from, to)
			}
			return before + to + after
		}
	}
	// unguarded removes the last filter, which refuses what jwt_authn let pass.
	unguarded := without("          - name: burnkey.verified", "          - name: envoy.filters.http.router")
	both := func(edits ...func(string) string) func(string) string {
		return func(text string) string {
			for _, edit := range edits {
				before := text
				if text = edit(text); text == before {
					t.Fatal("an edit changes nothing")
				}
			}
			return text
		}
	}
	noRules := func(text string) string {
		return strings.Replace(without("              rules:\n              - match: {prefix: /}", "\n\n")(text), "\n\n\n", "\n\n", 1)
	}
	optional := replace(`requires: {provider_name: "acme"}`,
		`requires: {requires_any: {requirements: [{provider_name: "acme"}, {allow_missing_or_failed: {}}]}}`)
	disable := func(match, filter, kind string) func(string) string {
		return replace("              - match: {prefix: /}\n                route: {cluster: api, timeout: 60s}",
			"              - match: {prefix: "+match+"}\n                route: {cluster: api, timeout: 60s}\n"+
				"                typed_per_filter_config: {"+filter+
				`: {"@type": type.googleapis.com/`+kind+", disabled: true}}")
	}
	noCheck := disable("/", "envoy.filters.http.jwt_authn", "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig")
	noAsking := disable("/", "envoy.filters.http.ext_authz", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute")
	second := func(route string) func(string) string {
		host, port, _ := strings.Cut(envoytest.FreeAddr(t), ":")
		return replace("\n  clusters:\n", `
  - name: second
    address: {socket_address: {address: `+host+`, port_value: `+port+`}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: second
          route_config: {virtual_hosts: [{name: api, domains: ["*"], routes: [{match: {prefix: /}, `+route+`}]}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}

  clusters:
`)
	}
	asking := []string{"--mode", "gateway", "--gateway", "127.0.0.1:9"}
	routes := filepath.Join(t.TempDir(), "routes.yaml")
	check(t, os.WriteFile(routes,
		[]byte("routes: [{path: /me, require: user}, {path: /any, require: either}, {path: /both, require: both}]"), 0o600))
	_, set := s.get("/v1/auth/oauth/acme/.well-known/jwks.json")
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, set) }))
	t.Cleanup(provider.Close)
	user := []string{
		"--routes", routes, "--credential", "header:X-API-Key", "--user-issuer", "https://id.example.com",
		"--user-jwks", provider.URL + "/keys", "--user-audience", "web",
	}
	otherUser := replace("path: [{key: burnkey_user}, {key: sub}]", "path: [{key: another}, {key: sub}]")
	for name, test := range map[string]struct {
		edit     func(string) string
		flags    []string
		want     []string
		severity string // of the gravest finding; default any
	}{
		"several workspaces": {
			func(text string) string { return text },
			append([]string{"--workspace", "other"}, pull...), nil, "",
		},
		"several workspaces, unguarded": {
			unguarded, append([]string{"--workspace", "other"}, pull...), []string{"unprotected"}, "error",
		},
		"no rules":                        {both(unguarded, noRules), pull, []string{"unprotected"}, "error"},
		"no rules, guarded":               {both(noRules), pull, []string{"unprotected"}, "warning"},
		"optional":                        {both(unguarded, optional), pull, []string{"unprotected"}, "error"},
		"optional, guarded":               {both(optional), pull, nil, ""},
		"jwt_authn disabled":              {both(unguarded, noCheck), pull, []string{"unprotected"}, "error"},
		"jwt_authn disabled, guarded":     {both(noCheck), pull, []string{"unprotected"}, "warning"},
		"ext_authz disabled":              {both(unguarded, noAsking), asking, []string{"unprotected"}, "error"},
		"ext_authz disabled, guarded":     {both(noAsking), asking, []string{"unprotected"}, "warning"},
		"second listener":                 {both(second("route: {cluster: api}")), pull, []string{"unprotected"}, "warning"},
		"second listener, both unguarded": {both(unguarded, second("route: {cluster: api}")), pull, []string{"unprotected"}, "warning"},
		"second listener redirects":       {both(second("redirect: {https_redirect: true}")), pull, nil, ""},
		"users":                           {replace("# The user's", "# A user's"), append(user, pull...), nil, ""},
		"users, mode gateway":             {replace("# The user's", "# A user's"), append(user, asking...), nil, ""},
		"users, unguarded":                {both(otherUser), append(user, pull...), []string{"unprotected"}, "warning"},
		"users, unguarded, mode gateway":  {both(otherUser), append(user, asking...), []string{"unprotected"}, "warning"},
		"another issuer": {
			replace(`issuer: "`+s.url+"/v1/auth/oauth/acme", `issuer: "`+s.url+"/v1/auth/oauth/other"),
			pull,
			[]string{"jwt_issuer"},
			"error",
		},
		"another server's issuer": {
			func(text string) string { return text },
			append([]string{"--public-url", "https://elsewhere.example"}, pull...),
			[]string{"jwt_issuer"},
			"error",
		},
		"careless": {
			replace("clock_skew_seconds: 1", "clock_skew_seconds: 1\n                  jwt_cache_config: {jwt_cache_size: 100}",
				"cache_duration: 5s", "cache_duration: 8s", "http.async_response_buffer_limit: 1073741824", "http.async_response_buffer_limit: 100",
				"async_fetch:", "#", "failed_refetch_duration: 1s", "#", "issuer: \"", "# \"", "audiences:", "#", `- "acme-company"`, "#"),
			pull,
			[]string{"jwt_cache", "jwks_interval", "envoy_buffer", "async_fetch", "jwt_issuer", "jwt_audience"},
			"",
		},
		"bare": {
			func(text string) string {
				text = without("          - name: envoy.filters.http.rbac", "          - name: envoy.filters.http.jwt_authn")(text)
				text = without("          local_reply_config:", "          route_config:")(text)
				return without("                  from_headers:", "                  forward: true")(text)
			}, pull, []string{"shape_filter", "local_reply", "jwt_from_headers"}, "",
		},
		"slow":        {replace("cache_duration: 5s", "cache_duration: 60s"), pull, []string{"jwks_interval"}, ""},
		"fetch fails": {replace("jwks.json", "other.json"), pull, []string{"jwks_fetch"}, ""},
		"open": {
			replace("grpc_service:", "failure_mode_allow: true\n              grpc_service:"),
			asking,
			[]string{"failure_mode_allow"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := diagnose(t, "--envoy-admin", adminOfEdited(t, test.edit, test.flags...))
			d.only(t, test.want...)
			if test.severity != "" && len(d.Findings) > 0 && d.Findings[0].Severity != test.severity {
				t.Errorf("%+v, want severity %s", d.Findings[0], test.severity)
			}
		})
	}
	t.Run("unprotected", func(t *testing.T) {
		t.Parallel()
		admin := envoytest.FreeAddr(t)
		host, port, _ := strings.Cut(admin, ":")
		envoytest.Start(t, "admin: {address: {socket_address: {address: "+host+", port_value: "+port+"}}}\n")
		diagnose(t, "--envoy-admin", admin).only(t, "unprotected")
	})
}

func TestE2EDoctorServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustIssue(t, "acme", "never_expires", true)
	d := diagnose(t, "--server", s.url, "--key-file", s.keyFile)
	d.only(t, "keys_without_end", "usage_unknown")

	diagnose(t, "--server", strings.Replace(s.url, "127.0.0.1", "localhost", 1)).only(t, "public_url")
	diagnose(t, "--server", strings.Replace(s.url, "127.0.0.1", "localhost", 1), "--public-url", s.url).only(t)
	diagnose(t, "--server", s.url, "--workspace", "nosuch").only(t, "unreachable")
	diagnose(t, "--server", "http://"+envoytest.FreeAddr(t)).only(t, "unreachable")

	other := startServer(t)
	diagnose(t, "--server", s.url, "--key-file", other.keyFile).only(t, "management_key")
	check(t, os.Chmod(other.keyFile, 0o777))
	diagnose(t, "--server", other.url, "--key-file", other.keyFile).only(t, "management_key", "file_mode")
}

// TestE2EDoctorProxied examines a server through a proxy that changes its answers, as wrong clocks and old caches would.
func TestE2EDoctorProxied(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	base, err := url.Parse(s.url)
	check(t, err)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			if strings.HasSuffix(r.Request.URL.Path, "jwks.json") {
				r.Header.Set("Age", "3600")
			}
			return nil
		},
	}
	h := httptest.NewServer(proxy)
	defer h.Close()
	diagnose(t, "--server", h.URL, "--public-url", s.url).only(t, "clock", "set_stale")
}

func TestE2EDoctorGateway(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	a := startAsked(t, s, "--workspace", "acme", "--max-staleness", "2")
	eventually(t, "the gateway streams", func() bool { return len(diagnose(t, "--gateway", a.metrics).Findings) == 0 })
	wrong := newAsked(t, s.url, "--workspace", "acme", "--public-url", "http://elsewhere.example")
	wrong.start()
	eventually(t, "the issuer is compared", func() bool {
		d := diagnose(t, "--gateway", wrong.metrics)
		return slices.ContainsFunc(d.Findings, func(f doctorFinding) bool { return f.Code == "gateway_issuer" })
	})
	s.kill()
	eventually(t, "the gateway is stale", func() bool { code, _ := a.get("/readyz"); return code != http.StatusOK })
	diagnose(t, "--gateway", a.metrics, "--server", s.url).has(t, "not_ready", "set_stale", "polling", "unreachable")
}

func TestE2EDoctorSQLite(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	diagnose(t, "--database", s.database()).only(t)
	s.stop()
	exec := func(query string) {
		t.Helper()
		db, err := sql.Open("sqlite", s.databaseFile())
		check(t, err)
		defer db.Close()
		_, err = db.Exec(query)
		check(t, err)
	}
	diagnose(t, "--database", s.database()).only(t)
	exec(`DROP INDEX keys_in_grace`)
	diagnose(t, "--database", s.database()).only(t, "missing_index")
	exec(`DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
	diagnose(t, "--database", s.database()).only(t, "schema_older")
	exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	diagnose(t, "--database", s.database()).only(t) // this version can use it
	exec(`UPDATE installation SET needs_schema = 9999`)
	diagnose(t, "--database", s.database()).only(t, "schema_newer")
	check(t, os.Chmod(s.databaseFile(), 0o777))
	diagnose(t, "--database", s.database()).only(t, "schema_newer", "file_mode")
	diagnose(t, "--database", "sqlite:"+filepath.Join(s.dir, "nosuch.db")).only(t, "unreachable")
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o777))
	diagnose(t, "--database", "sqlite:"+filepath.Join(dir, "nosuch.db"), "--state-dir", dir).only(t, "unreachable", "file_mode")
}

func TestE2EDoctorPostgres(t *testing.T) {
	t.Parallel()
	p := pgtest.Start(t, map[string]string{"fsync": "on"})
	database := p.Database(t)
	diagnose(t, "--database", database).only(t, "schema_older")
	s := newServer(t, "--database", database)
	s.start()
	diagnose(t, "--database", database).only(t)
	diagnose(t, "--database", p.Pooler(t, "transaction").URL(t, database)).has(t, "pooler_mode")
	p.Exec(t, database, `DROP INDEX keys_by_due`)
	diagnose(t, "--database", database).only(t, "missing_index")
	p.Exec(t, database, `DELETE FROM burnkey_schema_version WHERE version_id = (SELECT max(version_id) FROM burnkey_schema_version)`)
	diagnose(t, "--database", database+"?options=-csynchronous_commit%3Doff").only(t, "schema_older", "lax_commits")
	p.Exec(t, database, `ALTER SYSTEM SET full_page_writes = off`)
	p.Exec(t, database, `SELECT pg_reload_conf()`)
	eventually(t, "full_page_writes is off", func() bool { return p.Query(t, database, `SHOW full_page_writes`)[0] == "off" })
	diagnose(t, "--database", database).only(t, "schema_older", "unsafe_database")
	diagnose(t, "--database", database+"?default_transaction_read_only=on").has(t, "standby")
	d := command{args: []string{"doctor", "--output", "json"}, env: []string{
		"BURNKEY_DATABASE=postgres://u:hidden@" + envoytest.FreeAddr(t) + "/x?connect_timeout=1", "BURNKEY_LISTN=x", "BURNKEY_FOO=x",
	}}.diagnose(t)
	d.only(t, "unreachable", "variable")
	for _, f := range d.Findings {
		if strings.Contains(f.Target+f.What, "hidden") || strings.Contains(f.What, "FOO") && strings.Contains(f.What, "mean") {
			t.Errorf("%+v", f)
		}
	}
}

// TestE2EDoctorProcess examines a process named burnkey that did not make itself undumpable.
func TestE2EDoctorProcess(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "serve"), []byte("echo started; read x\n"), 0o644))
	check(t, os.Chmod(filepath.Dir(dir), 0o755))
	cmd := &exec.Cmd{Path: "/bin/sh", Args: []string{"burnkey", "serve"}, Dir: dir}
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	_, err = out.Read(make([]byte, 1))
	check(t, err)
	diagnose(t, "--database", "sqlite:"+filepath.Join(dir, "nosuch.db")).has(t, "dumpable", "unreachable")
}
