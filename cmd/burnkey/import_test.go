package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

var importNow = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// Each export leads to the same two keys, of cust_1 and cust_2.
func TestImportFormats(t *testing.T) {
	const one, two = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo", "hMq3Vt0dHcT7vGkXb9uYwPz2sRfNj5Le"
	hashed := func(key string) string { return strings.TrimPrefix(jwks.SHA256Digest(key).String(), "sha256:") }
	for name, c := range map[string]struct{ file, text, format string }{
		"csv": {"keys.csv", "owner,key,scopes\ncust_1," + one + ",maps:read\n\"cust_2\"," + two + ",\n", "csv"},
		"csv of digests": {
			"keys.csv", "digest,owner\n" + hashed(one) + ",cust_1\nsha256:" + fmt.Sprintf("%x", jwks.SHA256Digest(two).Sum) + ",cust_2\n", "csv",
		},
		"jsonl": {
			"keys.jsonl", `{"key":"` + one + `","owner":"cust_1","expires_at":"2027-01-02T03:04:05Z"}` + "\n\n" +
				`{"digest":"sha256:` + hashed(two) + `","owner":"cust_2"}`, "jsonl",
		},
		"deck": {"kong.yaml", `_format_version: "3.0"
_info:
  defaults: {}
consumers:
- custom_id: cust_1
  id: 4706c49b-9c87-4b82-a1b1-3e1d1c1f6b9c
  username: alice
  acls:
  - group: gold
  keyauth_credentials:
  - key: ` + one + `
    tags:
    - ci
    ttl: 86400
- username: cust_2
  keyauth_credentials:
  - key: ` + two + `
plugins:
- name: key-auth
  config:
    key_names:
    - apikey
`, "kong"},
		"a declarative file of Kong": {"kong.yml", `
keyauth_credentials:
- consumer: alice
  key: ` + one + `
- consumer: cust_2
  key: ` + two + `
consumers:
- username: alice
  custom_id: cust_1
- username: cust_2
`, "kong"},
		"the Admin API of Kong": {"kong.json", `{"next":null,"data":[
{"created_at":1760000000,"consumer":{"id":"c1"},"key":"` + one + `","id":"b2f34145-0343-41a4-9602-4c69dec2f269","tags":null,"ttl":null},
{"created_at":1760000000,"consumer":{"id":"c2"},"key":"` + two + `","id":"b2f34145-0343-41a4-9602-4c69dec2f270","tags":[]}]}
---
{"next":null,"data":[{"id":"c1","username":"alice","custom_id":"cust_1","tags":null},{"id":"c2","username":"cust_2","custom_id":null}]}
`, "kong"},
		"unkey": {"unkey.json", `{"migrationId":"m","apiId":"api_1","keys":[
{"hash":"` + fmt.Sprintf("%x", jwks.SHA256Digest(one).Sum) + `","name":"Production","externalId":"cust_1","meta":{"team":"maps"},
 "permissions":["maps:read"],"expires":1800000000000,"enabled":true,
 "ratelimits":[{"id":"rl","name":"requests","limit":100,"duration":60000,"autoApply":true}]},
{"hash":{"value":"` + hashed(two) + `=","variant":"sha256_base64"},"identity":{"id":"id_1","externalId":"cust_2"}}]}`, "unkey"},
		"envoy gateway": {"secrets.yaml", `apiVersion: v1
kind: Secret
metadata:
  name: clients
  namespace: default
stringData:
  cust_1: ` + one + `
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata:
  name: apikey
---
apiVersion: v1
kind: Secret
metadata:
  name: more
data:
  cust_2: aE1xM1Z0MGRIY1Q3dkdrWGI5dVl3UHoyc1JmTmo1TGUK
`, "envoy-gateway"},
		"kuadrant": {"secrets.json", `{"apiVersion":"v1","kind":"List","items":[
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"alice-key","namespace":"toystore",
 "labels":{"authorino.kuadrant.io/managed-by":"authorino","app":"toystore"},
 "annotations":{"secret.kuadrant.io/user-id":"cust_1","secret.kuadrant.io/plan-id":"gold"}},
 "stringData":{"api_key":"` + one + `"},"type":"Opaque"},
{"apiVersion":"v1","kind":"Secret","metadata":{"name":"cust_2","labels":{"authorino.kuadrant.io/managed-by":"authorino"}},
 "data":{"api_key":"aE1xM1Z0MGRIY1Q3dkdrWGI5dVl3UHoyc1JmTmo1TGU="}}]}`, "kuadrant"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := guessImport(c.file, []byte(c.text)); got != c.format {
				t.Errorf("guessed %q", got)
			}
			r := importReader{now: importNow, file: c.file}
			lines, err := r.read("auto", []byte(c.text))
			if err != nil || len(lines) != 2 {
				t.Fatal(err, len(lines))
			}
			for i, key := range []string{one, two} {
				l := lines[i]
				if l.err != nil || l.weak || l.key.Owner != fmt.Sprint("cust_", i+1) {
					t.Errorf("%+v: %v", l.key, l.err)
				}
				if got, err := jwks.ParseDigest(l.key.Digest); err != nil || got != jwks.SHA256Digest(key) {
					t.Errorf("%s: %v", l.key.Digest, err)
				}
			}
			first, _ := json.Marshal(lines[0].key)
			for name, want := range map[string]string{
				"csv": `"scopes":["maps:read"]`, "jsonl": `"expires_at":"2027-01-02T03:04:05Z"`, "kuadrant": `"plan":"gold"`,
				"deck":  `"expires_at":"2026-12-01T12:00:00Z","metadata":{"kong_groups":["gold"],"kong_tags":["ci"]}`,
				"unkey": `"limits":[{"name":"requests","requests":100,"seconds":60}]`,
			} {
				if name == t.Name()[len("TestImportFormats/"):] && !strings.Contains(string(first), want) {
					t.Errorf("%s lacks %s", first, want)
				}
			}
			if bytes.Contains(first, []byte(one)) {
				t.Error("the key itself is sent")
			}
		})
	}
}

const importSecret = "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo"

func TestImportRefusals(t *testing.T) {
	r := importReader{now: importNow}
	for text, want := range map[string]string{
		`{"digest":"$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW","owner":"a"}`:      "verify each key once",
		`{"digest":"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b","owner":"a"}`:     "verify each key once",
		`{"digest":"md5:900150983cd24fb0d6963f7d28e17f72","owner":"a"}`:                              "sha256:",
		`{"key":"` + jwks.TokenPrefix + `abc.def.ghi","owner":"a"}`:                                  "token of Burnkey",
		`{"key":"IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo"}`:                                                 "no owner",
		`{"key":"IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo","owner":"a","expires_at":"2020-01-02T03:04:05Z"}`: "has expired",
		`{"key":"$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW","owner":"a"}`:         "verify each key once",
		`{"key":"` + strings.Repeat("a", jwks.MaxTokenLen+1) + `","owner":"a"}`:                      "longer than 16384 bytes",
		`{"owner":"a"}`:                "neither key nor digest",
		`{"owner":"a","secret":"x"}`:   `unknown member "secret"`,
		`{"` + importSecret + `":"a"}`: "could be a key",
		`{"owner":"a","key":"` + importSecret + `","scopes":"read"}`:                                    "scopes: must not be of the type string",
		`{"owner":"a","key":"` + importSecret + `","name":123}`:                                         "name: must not be of the type number",
		`{"owner":"a","key":"` + importSecret + `","expires_at":"2027-01-02"}`:                          "expires_at: must be like",
		`{"owner":"a","key":"` + importSecret + `"}{}`:                                                  "one JSON object",
		`["` + importSecret + `"]`:                                                                      "one JSON object",
		importSecret:                                                                                    "one JSON object",
		`{"owner":"a","key":"` + importSecret + `","digest":"` + jwks.SHA256Digest("x").String() + `"}`: "not both",
	} {
		lines, err := r.read("jsonl", []byte(text))
		if err != nil || len(lines) != 1 || lines[0].err == nil || !strings.Contains(lines[0].err.Error(), want) ||
			strings.Contains(lines[0].err.Error(), importSecret) {
			t.Errorf("%s: %v %+v", text, err, lines)
		}
	}
	const row = "a," + importSecret + ","
	table := "owner,key,digest,expires_at,never_expires,metadata\n" + row + ",soon,,\n" + row + ",,yes,\n" + row + ",,,{\n" + row + "\n" +
		row + jwks.SHA256Digest("x").String() + ",,,\na,,,,,\n" + row + ",,,{}\n"
	lines, err := r.read("csv", []byte(table))
	if err != nil || len(lines) != 7 {
		t.Fatal(err, lines)
	}
	for i, want := range []string{
		"expires_at: must be like", "never_expires: must be true or false", "metadata: must be a JSON object",
		"has 3 values, but the first line has 6",
		"not both", "neither key nor digest", "<nil>",
	} {
		if got := fmt.Sprint(lines[i].err); !strings.Contains(got, want) || lines[i].place != fmt.Sprintf("line %d", i+2) {
			t.Errorf("%s: %s, want %s", lines[i].place, got, want)
		}
	}
	for text, want := range map[string]string{
		"": "is empty", "owner,colour\na,red\n": "line 1: column 2 (colour): the first row must name",
		"a," + importSecret + "\n": "line 1: column 1 (a): the first row must name", importSecret + ",a\n": "column 1: the first row must",
		"owner;key\n": "column 1: the first row", "key,name\n": "must name the column owner", "owner,name\n": "key or digest",
		"owner,key\n": "no keys",
	} {
		_, err := r.read("csv", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), importSecret) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := r.read("auto", []byte("text")); err == nil || !strings.Contains(err.Error(), "--format") {
		t.Error(err)
	}
	if _, err := r.read("xml", nil); err == nil {
		t.Error("an unknown format")
	}
}

func TestWeakKeys(t *testing.T) {
	for key, weak := range map[string]bool{
		"": true, "secret": true, "correct horse": true, "0123456789abcdef0123456789abcdef": false, "0123456789abcdef": true,
		"1234567890123456789012345678901234567890": false, "IL1deIyHyQA40WpeLeA1bI": false, "IL1deIyHyQA40WpeLeA1b": true,
	} {
		if got := bitsOf(key) < 128; got != weak {
			t.Errorf("%q: %v", key, bitsOf(key))
		}
	}
	for key, want := range map[string]bool{"sk_live_4eC3=": false, "with a space": true, "p@ss": true, "kéy": true} {
		var l importLine
		if new(importReader).secret(&l, key); l.notBearer != want {
			t.Errorf("%s: %v", key, l.notBearer)
		}
	}
	if (&importReader{pepper: []byte("0123456789abcdef")}).peppered("x") == jwks.SHA256Digest("x").String() {
		t.Error("the pepper has no effect")
	}
}

func (r *importReader) peppered(key string) string {
	var l importLine
	r.secret(&l, key)
	return l.key.Digest
}

// Batches are as large as one call takes, and never empty.
func TestImportBatches(t *testing.T) {
	lines := make([]importLine, 2500)
	if n := len(batchOf(lines)); n != 1000 {
		t.Errorf("%d", n)
	}
	for i := range lines {
		lines[i].key.Name = strings.Repeat("n", 300<<10)
	}
	if n := len(batchOf(lines)); n != 2 {
		t.Errorf("%d", n)
	}
	lines[0].key.Name = strings.Repeat("n", 2<<20)
	if n := len(batchOf(lines)); n != 1 {
		t.Errorf("%d", n)
	}
}

// Refusals of the file and of the server are shown in the order of the file. A fault of a file in YAML names its line.
func TestImportOrder(t *testing.T) {
	lines := []importLine{{place: "line 1"}, {place: "line 2", err: errTwoKeys}, {place: "line 3", key: client.ImportKey{NeverExpires: true}}}
	n := &imports{DryRun: true}
	good := n.sort(lines)
	if n.WithoutExpiry != 1 {
		t.Errorf("%d keys without an expiry", n.WithoutExpiry)
	}
	n.refuse(&good[1], "owner: is full")
	n.refuse(&good[0], "plan: must be a plan of the workspace")
	var out bytes.Buffer
	cmd := importCommand()
	cmd.SetOut(&out)
	i := importing{}
	i.output.format = "table"
	if err := i.report(cmd, n); err == nil || len(n.Refusals) != 3 || n.Refusals[0].Place != "line 1" || n.Refusals[2].Place != "line 3" {
		t.Errorf("%v %+v", err, n.Refusals)
	}
	for _, format := range []string{"kong", "kuadrant"} {
		_, err := (&importReader{}).read(format, []byte("a: b\nc: *"+importSecret+"\n\t- d"))
		if err == nil || !strings.Contains(err.Error(), "not YAML or JSON") || strings.Contains(err.Error(), importSecret) {
			t.Errorf("%s: %v", format, err)
		}
	}
}
