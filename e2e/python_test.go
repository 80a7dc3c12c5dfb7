package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// verifier is a Python process that reads one token per line and answers with one verdict per line. It
// continues after a revocation, with the data that its library has cached.
type verifier struct {
	in  io.Writer
	out *bufio.Scanner
}

// opinion is the verdict of an independent JWT library.
type opinion struct {
	OK       bool
	Error    string
	Sub, JTI string
	JWKSURI  string `json:"jwks_uri"`
}

// startPython runs a script in testdata until the test ends.
func startPython(t *testing.T, script string, args ...string) *verifier {
	t.Helper()
	cmd := exec.Command(python(t), append([]string{"-I", filepath.Join("testdata", script)}, args...)...)
	cmd.Env = environment()
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	stderr := new(tail)
	cmd.Stderr = stderr
	check(t, cmd.Start())
	t.Cleanup(func() {
		in.Close() // which ends the script
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s: %v\n%s", script, err, stderr.text)
		}
	})
	return &verifier{in, bufio.NewScanner(out)}
}

// tail stores the last part of a process's standard error.
type tail struct{ text []byte }

func (w *tail) Write(p []byte) (int, error) {
	w.text = append(w.text, p...)
	return len(p), nil
}

// ask sends a token, or another line that the script understands, and returns the verdict.
func (v *verifier) ask(t *testing.T, line string) (answer opinion) {
	t.Helper()
	_, err := io.WriteString(v.in, line+"\n")
	check(t, err)
	if !v.out.Scan() {
		t.Fatalf("the script gave no answer: %v", v.out.Err())
	}
	check(t, json.Unmarshal(v.out.Bytes(), &answer))
	return answer
}

func (v *verifier) good(t *testing.T, k key) {
	t.Helper()
	if got := v.ask(t, k.Token); !got.OK || got.Sub != k.Owner || got.JTI != k.ID {
		t.Errorf("a good token: %+v", got)
	}
}

func (v *verifier) bad(t *testing.T, token, want string) {
	t.Helper()
	if got := v.ask(t, token); got.OK || want != "" && got.Error != want {
		t.Errorf("got %+v, want the error %s", got, want)
	}
}

// TestE2EPython verifies the server's keys with PyJWT and joserfc, which must refuse the keys after they are
// revoked. The libraries find the set through the issuer's metadata.
func TestE2EPython(t *testing.T) {
	t.Parallel()
	python(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustCreate(t, "beta")
	for _, test := range []struct {
		name, script string
		args         []string
		cached       time.Duration // how long the library keeps a set
		unpublished  string        // its error for an unknown kid
	}{
		{"PyJWT's PyJWKClient, no cache", "verify_pyjwt.py", []string{"0"}, 0, "PyJWKClientError"},
		{"PyJWT's PyJWKClient, 1 s cache", "verify_pyjwt.py", []string{"1"}, time.Second, "PyJWKClientError"},
		{"joserfc", "verify_joserfc.py", nil, 0, "InvalidKeyIdError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k, other, beta := admin.mustIssue(t, "acme"), admin.mustIssue(t, "acme"), admin.mustIssue(t, "beta")
			brief := admin.mustIssue(t, "acme", "expires_in", 1)
			v := startPython(t, test.script, append([]string{s.issuer("acme"), "acme"}, test.args...)...)
			if got := v.ask(t, "metadata").JWKSURI; got != s.jwksURL("acme") {
				t.Fatalf("the metadata lead to %q", got)
			}
			v.good(t, k)
			v.good(t, other)
			v.bad(t, beta.Token, test.unpublished)
			a, b := cut(k.Token), cut(other.Token)
			v.bad(t, parts{a.head, b.body, a.sig}.join(), "")
			v.bad(t, parts{a.head, a.body, b.sig}.join(), "")
			eventually(t, "the key of an expired token has left the set", func() bool { return !s.mustPublished("acme").has(brief.KID) })
			gone := time.Now()
			eventually(t, "the library has no set from before", func() bool { return time.Since(gone) > test.cached })
			v.bad(t, brief.Token, test.unpublished)

			admin.mustRevoke(t, k)
			start := time.Now()
			eventually(t, "the revoked token is refused", func() bool {
				return v.ask(t, k.Token).Error == test.unpublished || test.cached == 0
			})
			took := time.Since(start)
			v.bad(t, k.Token, test.unpublished)
			if took > test.cached+slack {
				t.Errorf("refused after %s", took)
			}
			v.good(t, other)
			t.Logf("refused %s after the revocation", took.Round(time.Millisecond))
		})
	}
}
