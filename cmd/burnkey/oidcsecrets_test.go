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
	entry := func(secret string) string {
		return `{"issuer":"https://login.acme.example","client_secret":` + secret + `}`
	}
	good := entry(`"` + hidden + `"`)
	for name, c := range map[string]struct {
		text  string
		mode  os.FileMode
		wants string // of the error; empty: it is read
	}{
		"one":               {`{"acme":` + good + `}`, 0o600, ""},
		"read by a group":   {`{"acme":` + good + `}`, 0o440, ""},
		"two":               {`{"acme":` + good + `, "other": ` + entry(`"y"`) + `}` + "\n", 0o400, ""},
		"none":              {`{}`, 0o600, ""},
		"read by others":    {`{"acme":` + good + `}`, 0o604, "0604"},
		"as files are":      {`{"acme":` + good + `}`, 0o644, "lets others read"},
		"written by others": {`{"acme":` + good + `}`, 0o602, "0602"},
		"written by groups": {`{"acme":` + good + `}`, 0o620, "0620"},
		"twice":             {`{"acme":` + good + `,"acme":` + entry(`"x"`) + `}`, 0o600, "twice"},
		"twice in disguise": {`{"acme":` + good + `,"acm\u0065":` + entry(`"x"`) + `}`, 0o600, "twice"},
		"without an issuer": {`{"acme":"` + hidden + `"}`, 0o600, "acme: must have the members"},
		"a number":          {`{"acme":1}`, 0o600, "acme: must have the members"},
		"null":              {`{"acme":null}`, 0o600, "acme: must have the members"},
		"another member":    {`{"acme":{"secret":"` + hidden + `"}}`, 0o600, "acme: must have the members"},
		"a member twice":    {`{"acme":{"client_secret":"x","issuer":"https://a.example","client_secret":"` + hidden + `"}}`, 0o600, "twice"},
		"no issuer":         {`{"acme":{"client_secret":"` + hidden + `"}}`, 0o600, "acme: issuer: must be"},
		"an issuer's host":  {`{"acme":{"issuer":"login.acme.example","client_secret":"` + hidden + `"}}`, 0o600, "acme: issuer: must be"},
		"no secret":         {`{"acme":{"issuer":"https://login.acme.example"}}`, 0o600, "acme: client_secret: must have"},
		"secret of null":    {`{"acme":` + entry("null") + `}`, 0o600, "acme: client_secret: must have"},
		"an empty one":      {`{"acme":` + entry(`""`) + `}`, 0o600, "acme: client_secret: must have"},
		"a space":           {`{"acme":` + entry(`"`+hidden+` "`) + `}`, 0o600, "acme: client_secret: must have"},
		"a line end":        {`{"acme":` + entry(`"`+hidden+`\n"`) + `}`, 0o600, "acme: client_secret: must have"},
		"a long one":        {`{"acme":` + entry(`"`+strings.Repeat("a", 1025)+`"`) + `}`, 0o600, "acme: client_secret: must have"},
		"no workspace":      {`{"ACME":` + good + `}`, 0o600, `"ACME"`},
		"the server's own":  {`{"burnkey":` + entry(`"x"`) + `,"acme":` + good + `}`, 0o600, ""},
		"a list":            {`["` + hidden + `"]`, 0o600, "JSON object"},
		"nothing":           {``, 0o600, "JSON object"},
		"nothing at all":    {`null`, 0o600, "JSON object"},
		"more after it":     {`{"acme":"` + hidden + `"} {}`, 0o600, "JSON object"},
		"no UTF-8":          {`{"acme":` + entry(`"`+hidden+"\xff"+`"`) + `}`, 0o600, "JSON object"},
		"the bare secret":   {hidden, 0o600, "JSON object"},
		"too large":         {`{"acme":` + good + `}` + strings.Repeat(" ", 1<<20), 0o600, "at most"},
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
				acme := secrets["acme"]
				is := acme.Secret.Reveal() == hidden && acme.Issuer == "https://login.acme.example"
				if err != nil || strings.Contains(c.text, "acme") && !is || strings.Contains(fmt.Sprint(secrets), hidden) {
					t.Errorf("read as %v, %v", secrets, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.wants) || !strings.HasPrefix(err.Error(), "--oidc-secrets: ") ||
				strings.Contains(err.Error(), hidden) {
				t.Errorf("the error is %v, want %q in it", err, c.wants)
			}
		})
	}
	if _, err := oidcSecrets(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "--oidc-secrets") {
		t.Errorf("no such file: %v", err)
	}
}
