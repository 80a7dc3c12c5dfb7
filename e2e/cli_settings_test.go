package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// settings are changed by workspace update.
type settings struct {
	Name              string
	Audiences         []string
	AllowNeverExpires bool `json:"allow_never_expires"`
	Policy, Portal    map[string]any
}

func smallPicture(t *testing.T) (file string, content []byte) {
	t.Helper()
	var b bytes.Buffer
	check(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))))
	file = filepath.Join(t.TempDir(), "logo.png")
	check(t, os.WriteFile(file, b.Bytes(), 0o600))
	return file, b.Bytes()
}

func TestE2ECLIWorkspaceUpdate(t *testing.T) {
	c := newCLI(t, startServer(t))
	c.ok("workspace", "create", "acme", "--audience", "acme,acme-test")
	says(t, c.ok("workspace", "show", "acme"), "offered scopes       any", "longest lifetime     3650d (the default)",
		"default lifetime     90d (the default)",
		"keys per owner       any number", "webhook              none", "display name         acme (the name)",
		"OIDC issuer          none", "never-expiring keys  allowed",
		"use of keys          no gateway reports it")
	logo, content := smallPicture(t)
	update := func(flags ...string) []string { return append([]string{"workspace", "update", "acme"}, flags...) }
	var got settings
	c.json(&got, update("--name", "Acme", "--scope", "maps:read=Look at maps, all of them", "--scope", "maps:write", "--max-expires-in", "30d",
		"--default-expires-in", "90m", "--keys-per-owner", "20", "--portal-never-expires=true", "--default-audience",
		"acme-test", "--webhook", "https://hooks.example/x",
		"--display-name", "Acme Maps", "--base-url", "https://api.example", "--accent", "#0a7b3c", "--logo", logo,
		"--frame-ancestor", "https://a.example,https://b.example", "--oidc-issuer", "https://login.example", "--oidc-client-id", "burnkey",
		"--oidc-owner-claim", "customer_id", "--oidc-operator-claim", "groups", "--oidc-operator-value", "ops")...)
	want := `{"Name":"Acme","Audiences":["acme","acme-test"],"allow_never_expires":true,
		"Policy":{"scopes":[{"name":"maps:read","description":"Look at maps, all of them"},{"name":"maps:write"}],"max_expires_in":2592000,
			"default_expires_in":5400,"keys_per_owner":20,"portal_never_expires":true,
			"default_audience":["acme-test"],"webhook":"https://hooks.example/x"},
		"Portal":{"display_name":"Acme Maps","base_url":"https://api.example","accent":"#0a7b3c",
			"logo":"` + base64.StdEncoding.EncodeToString(content) + `",
			"frame_ancestors":["https://a.example","https://b.example"],"oidc":{"issuer":"https://login.example","client_id":"burnkey",
			"owner_claim":"customer_id","operator_claim":"groups","operator_value":"ops"}}}`
	isSettings(t, got, want)
	says(t, c.ok("workspace", "show", "acme"), "offered scopes       maps:read: Look at maps, all of them", "                     maps:write",
		"longest lifetime     30d\n", "default lifetime     90m\n", "keys per owner       20", "expiry in portal     optional",
		"default audience     acme-test", "logo                 a PNG picture of ",
		"OIDC operators       claim groups is or has ops", "never-expiring keys  refused, since lifetimes are limited")

	// Each flag changes one setting, and an empty value resets it.
	c.json(&got, update("--accent", "#000000")...)
	isSettings(t, got, strings.Replace(want, "#0a7b3c", "#000000", 1))
	got = settings{}
	c.json(&got, update("--name", "", "--allow-never-expires=false", "--scope", "", "--max-expires-in", "", "--default-expires-in",
		"", "--keys-per-owner", "", "--portal-never-expires=",
		"--default-audience", "", "--audience", "", "--webhook", "", "--display-name", "", "--base-url", "", "--accent", "",
		"--logo", "", "--frame-ancestor", "",
		"--oidc-issuer", "")...)
	isSettings(t, got, `{"Name":"acme","Audiences":["acme"],"allow_never_expires":false,"Policy":{},"Portal":{}}`)
	before := c.ok("workspace", "show", "acme", "-o", "json")

	c.run(update()...).fails(t, "no setting is given")
	c.run("workspace", "update", "nobody", "--name", "x").fails(t, "404")
	c.run("workspace", "update", "--name", "x").fails(t, "one argument")
	c.run(update("--max-expires-in", "soon")...).fails(t, "--max-expires-in", "must be like 90m, 720h or 30d, or whole seconds, such as 3600")
	c.run(update("--keys-per-owner", "many")...).fails(t, "--keys-per-owner", "must be a whole number")
	c.run(update("--keys-per-owner", "-1")...).fails(t, "policy.keys_per_owner", "422")
	c.run(update("--logo", "no-such-file")...).fails(t, "--logo", "no such file")
	large := filepath.Join(t.TempDir(), "large.png")
	check(t, os.WriteFile(large, make([]byte, 64<<10+1), 0o600))
	c.run(update("--logo", large)...).fails(t, "--logo", "must be at most 65536 bytes")
	c.run(update("--logo", "cli_test.go")...).fails(t, "portal.logo", "PNG")
	c.run(update("--scope", "a b")...).fails(t, "policy.scopes", "422")
	c.run(update("--webhook", "http://hooks.example", "--name", "Never")...).fails(t, "policy.webhook", "https")
	c.run(update("--oidc-client-id", "x")...).fails(t, "portal.oidc.issuer")
	c.run(update("--oidc-issuer", "", "--oidc-client-id", "x")...).fails(t, "--oidc-issuer", "other --oidc flags")
	c.run(update("--colour", "#000000")...).fails(t, "--colour")
	if after := c.ok("workspace", "show", "acme", "-o", "json"); after != before {
		t.Errorf("a refused change is kept:\n%s\nbefore:\n%s", after, before)
	}
}

func isSettings(t *testing.T, got settings, text string) {
	t.Helper()
	var want settings
	check(t, json.Unmarshal([]byte(text), &want))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the settings are %+v,\nwant %+v", got, want)
	}
}
