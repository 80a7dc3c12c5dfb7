package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOIDCSecrets(t *testing.T) {
	const hidden = "correct-horse"
	for name, c := range map[string]struct {
		text  string
		mode  os.FileMode
		wants string // of the error; empty: it is read
	}{
		"one":               {`{"acme":"` + hidden + `"}`, 0o600, ""},
		"read by a group":   {`{"acme":"` + hidden + `"}`, 0o440, ""},
		"two":               {`{"acme":"` + hidden + `", "other": "y"}` + "\n", 0o400, ""},
		"none":              {`{}`, 0o600, ""},
		"read by others":    {`{"acme":"` + hidden + `"}`, 0o604, "0604"},
		"as files are":      {`{"acme":"` + hidden + `"}`, 0o644, "others can read"},
		"written by others": {`{"acme":"` + hidden + `"}`, 0o602, "0602"},
		"written by groups": {`{"acme":"` + hidden + `"}`, 0o620, "0620"},
		"twice":             {`{"acme":"` + hidden + `","acme":"x"}`, 0o600, "twice"},
		"twice in disguise": {`{"acme":"` + hidden + `","acm\u0065":"x"}`, 0o600, "twice"},
		"a number":          {`{"acme":1}`, 0o600, "acme must be text"},
		"null":              {`{"acme":null}`, 0o600, "acme must be text"},
		"an object":         {`{"acme":{"secret":"` + hidden + `"}}`, 0o600, "acme must be text"},
		"an empty one":      {`{"acme":""}`, 0o600, "acme must be text"},
		"a space":           {`{"acme":"` + hidden + ` "}`, 0o600, "acme must be text"},
		"a line end":        {`{"acme":"` + hidden + `\n"}`, 0o600, "acme must be text"},
		"a long one":        {`{"acme":"` + strings.Repeat("a", 1025) + `"}`, 0o600, "acme must be text"},
		"no workspace":      {`{"ACME":"` + hidden + `"}`, 0o600, `"ACME"`},
		"the server's own":  {`{"burnkey":"x","acme":"` + hidden + `"}`, 0o600, ""},
		"a list":            {`["` + hidden + `"]`, 0o600, "JSON object"},
		"nothing":           {``, 0o600, "JSON object"},
		"nothing at all":    {`null`, 0o600, "JSON object"},
		"more behind":       {`{"acme":"` + hidden + `"} {}`, 0o600, "JSON object"},
		"no UTF-8":          {"{\"acme\":\"" + hidden + "\xff\"}", 0o600, "JSON object"},
		"the bare secret":   {hidden, 0o600, "JSON object"},
		"too large":         {`{"acme":"` + hidden + `"}` + strings.Repeat(" ", 1<<20), 0o600, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secrets.json")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil { // whatever the umask is
				t.Fatal(err)
			}
			secrets, err := oidcSecrets(path)
			if c.wants == "" {
				if err != nil || strings.Contains(c.text, "acme") && secrets["acme"].Reveal() != hidden || strings.Contains(fmt.Sprint(secrets), hidden) {
					t.Errorf("read as %v, %v", secrets, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.wants) || !strings.HasPrefix(err.Error(), "--oidc-secrets: ") || strings.Contains(err.Error(), hidden) {
				t.Errorf("the error is %v, want %q in it", err, c.wants)
			}
		})
	}
	if _, err := oidcSecrets(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "--oidc-secrets") {
		t.Errorf("no such file: %v", err)
	}
}
