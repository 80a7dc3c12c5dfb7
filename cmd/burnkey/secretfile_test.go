package main

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// anyToken has the form of a token.
func anyToken() string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"RS256","kid":"`+strings.Repeat("A", 43)+`","typ":"JWT"}`)) + "." +
		b64([]byte(`{"iss":"i","sub":"s","aud":["burnkey"],"jti":"j","iat":1}`)) + "." + strings.Repeat("A", 342)
}

// leave writes a file with a mode, independent of the umask.
func leave(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	for _, err := range []error{os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestReadKeyFile(t *testing.T) {
	token := anyToken()
	for name, text := range map[string]string{
		"the token alone": token, "a line": token + "\n", "CRLF": token + "\r\n", "a byte order mark": "\ufeff" + token + "\r\n",
		"blank lines": "\n\n  " + token + "\n\n", "a variable": "BURNKEY_KEY=" + token + "\n",
		"an export": "export BURNKEY_KEY='" + token + "'\n",
		"a header":  "Authorization: Bearer " + token + "\n", "what issued it": `{"id":"x","token":"` + token + `"}`,
	} {
		if got, err := readKeyFile("--key-file", leave(t, filepath.Join(t.TempDir(), "key"), text, 0o600)); err != nil || got != token {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"read by all":      {token, 0o644, "mode 0644"},
		"written by all":   {token, 0o602, "mode 0602"},
		"written by group": {token, 0o660, "mode 0660"},
		"empty":            {"\ufeff\n", 0o600, "is empty"},
		"no token":         {"two secrets", 0o600, "holds no management key"},
		"two tokens":       {token + "\n" + token[:len(token)-1] + "Q", 0o600, "holds no management key"},
		"a large file":     {strings.Repeat("x", maxSecretFile+1), 0o600, "at most"},
	} {
		_, err := readKeyFile("--key-file", leave(t, filepath.Join(t.TempDir(), "key"), tt.text, tt.mode))
		if err == nil || !strings.HasPrefix(err.Error(), "--key-file: ") || !strings.Contains(err.Error(), tt.want) ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	for _, mode := range []os.FileMode{0o400, 0o440, 0o640} { // as secrets are mounted
		if _, err := readKeyFile("--key-file", leave(t, filepath.Join(t.TempDir(), "key"), token, mode)); err != nil {
			t.Errorf("%04o: %v", mode, err)
		}
	}
}

func TestStateDir(t *testing.T) {
	for _, tt := range []struct {
		folder, file os.FileMode
		want         string // in the error; empty: accepted
	}{
		{0o700, 0o600, ""},
		{0o755, 0o644, ""},
		{0o2775, 0o664, ""},
		{0o777, 0o600, "mode 0777"},
		{0o777 | os.ModeSticky, 0o600, "mode 0777"},
		{0o702, 0o600, "mode 0702"},
		{0o700, 0o666, "acme.jwks: mode 0666"},
	} {
		dir := t.TempDir()
		leave(t, filepath.Join(dir, "acme.jwks"), "x", tt.file)
		if err := os.Chmod(dir, tt.folder); err != nil {
			t.Fatal(err)
		}
		if err := makeStateDir(dir); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, %v: %v, want %q", tt.folder, tt.file, err, tt.want)
		}
	}
}

func TestDatabaseFile(t *testing.T) {
	for _, tt := range []struct {
		folder, file, wal os.FileMode
		refuses           bool
		warns             string
	}{
		{0o700, 0o600, 0o600, false, ""},
		{0o755, 0o640, 0o640, false, ""},
		{0o700, 0o602, 0o600, true, ""},
		{0o700, 0o600, 0o666, true, ""},
		{0o700, 0o644, 0o600, false, "can read the database"},
		{0o777, 0o600, 0o600, false, "can write the database's folder"},
	} {
		dir := t.TempDir()
		leave(t, filepath.Join(dir, "x.db-wal"), "x", tt.wal)
		path := leave(t, filepath.Join(dir, "x.db"), "x", tt.file)
		if err := os.Chmod(dir, tt.folder); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		err := checkDatabaseFile(path, slog.New(slog.NewTextHandler(&log, nil)))
		if (err != nil) != tt.refuses || !strings.Contains(log.String(), tt.warns) || tt.warns == "" && log.Len() > 0 {
			t.Errorf("%04o, %04o, %04o: %v\n%s", tt.folder, tt.file, tt.wal, err, &log)
		}
	}
}
