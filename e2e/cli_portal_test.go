package e2e_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestE2ECLIPortalLink(t *testing.T) {
	s := startServer(t)
	c := newCLI(t, s)
	c.ok("workspace", "create", "acme")
	link := func(flags ...string) []string { return append([]string{"portal", "link", "-w", "acme"}, flags...) }
	url, ok := strings.CutSuffix(c.ok(link("--owner", "cust_1", "--scope", "maps:read", "--return-url", "https://app.example/",
		"--expires-in", "10m")...), "\n")
	if !ok || !strings.HasPrefix(url, s.url+"/portal/link/") || strings.ContainsAny(url, " \n") {
		t.Fatal("what went into the pipe is not the link alone")
	}
	visit, err := http.NewRequest(http.MethodGet, url, nil)
	check(t, err)
	visit.Header.Set("Sec-Fetch-Mode", "navigate") // as a browser that goes there
	visit.Header.Set("Sec-Fetch-Dest", "document")
	opened, err := plainHTTP.Do(visit)
	check(t, err)
	_ = opened.Body.Close()
	if home := opened.Request.URL.Path; home != "/portal/acme/keys" {
		t.Errorf("the link leads to %s", home)
	}
	var operator struct {
		URL       string
		ExpiresAt string `json:"expires_at"`
	}
	if c.json(&operator, link("--operator", "--subject", "jane@acme.example")...); !strings.HasPrefix(operator.URL, s.url) ||
		operator.ExpiresAt == "" {
		t.Error("no link for an operator")
	}
	var audit struct {
		Entries []struct{ Detail map[string]any }
	}
	c.json(&audit, "audit", "list", "-w", "acme", "--action", "session.create")
	if len(audit.Entries) != 2 || audit.Entries[0].Detail["role"] != "operator" ||
		audit.Entries[0].Detail["subject"] != "jane@acme.example" ||
		!reflect.DeepEqual(audit.Entries[1].Detail["scopes_allowed"], []any{"maps:read"}) {
		t.Errorf("the links are noted as %+v", audit)
	}
	c.run(link()...).fails(t, "--owner", "--operator")
	c.run(link("--owner", "c", "--operator")...).fails(t, "--owner", "--operator")
	c.run(link("--owner", "c", "--scope", "")...).fails(t, "--scope")
	c.run(link("--owner", "c", "--expires-in", "2h")...).fails(t, "expires_in", "422")
	c.run(link("--owner", "c", "--return-url", "javascript:x")...).fails(t, "return_url")
	c.run(link("--owner", "c", "--subject", " ")...).fails(t, "subject", "422")
	c.run("portal", "link", "-w", "burnkey", "--owner", "c").fails(t, "422")
	c.run("portal", "link", "--owner", "c").fails(t, "workspace")
}

func TestE2ECLIPortalEnd(t *testing.T) {
	s := startServer(t)
	c := newCLI(t, s)
	c.ok("workspace", "create", "acme")
	for _, of := range [][]string{{"--owner", "cust_1"}, {"--owner", "cust_2"}, {"--operator"}} {
		c.ok(append([]string{"portal", "link", "-w", "acme"}, of...)...)
	}
	end := func(flags ...string) []string { return append([]string{"portal", "end", "-w", "acme"}, flags...) }
	c.run(end()...).fails(t, "--owner, --all")
	c.run(end("--owner", "")...).fails(t, "--owner", "--all")
	c.run(end("--all=false")...).fails(t, "--all")
	c.run(end("--all", "--owner", "cust_1")...).fails(t, "--owner", "--all")
	for _, want := range []struct {
		flag  []string
		ended int
	}{{[]string{"--owner", "cust_1"}, 1}, {[]string{"--all"}, 2}, {[]string{"--all"}, 0}} {
		var answer struct{ Ended int }
		if c.json(&answer, end(want.flag...)...); answer.Ended != want.ended {
			t.Errorf("%v: %d ended, want %d", want.flag, answer.Ended, want.ended)
		}
	}
}
