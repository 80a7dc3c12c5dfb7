package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// TestE2EContract runs schemathesis against both stores, for as many seconds each as the variable says. It takes too long for every
// change: `make contract` runs it.
func TestE2EContract(t *testing.T) {
	seconds := os.Getenv("BURNKEY_E2E_CONTRACT")
	if seconds == "" {
		return
	}
	t.Run("sqlite", func(t *testing.T) { keepsContract(t, startServer(t), seconds) })
	t.Run("postgres", func(t *testing.T) {
		keepsContract(t, startServer(t, "--database", pgtest.Start(t, nil).Database(t)), seconds)
	})
}

var testCases = regexp.MustCompile(`(?m)^ *[0-9]+ generated.*$`)

func keepsContract(t *testing.T, s *server, seconds string) {
	s.admin().mustCreate(t, "acme")
	// Change streams do not end. Valid requests may be refused by rules that a schema can't express, such as those for a cursor.
	args := strings.Fields("run " + s.url + "/openapi.json --exclude-operation-id feed --exclude-operation-id changes " +
		"--checks all --exclude-checks positive_data_acceptance --max-time " + seconds + " --request-timeout 30 --continue-on-failure --no-color")
	program, err := filepath.Abs("../.tools/schemathesis/bin/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(args, "--header", "Authorization: Bearer "+s.key())...)
	cmd.Dir = t.TempDir() // it writes what it has learned
	// A body that is too long gets 413, which schemathesis does not expect by itself.
	const refusals = "[checks.negative_data_rejection]\n" +
		`expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429"]`
	if err := os.WriteFile(filepath.Join(cmd.Dir, "schemathesis.toml"), []byte(refusals), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := cmd.CombinedOutput()
	t.Log(string(testCases.Find(report)))
	if err != nil {
		t.Errorf("schemathesis: %v\n%s", err, strings.ReplaceAll(string(report), s.key(), "[key]"))
	}
}
