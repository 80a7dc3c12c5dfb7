package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Two servers start with the same empty database and the same key file. The server that issued no key must
// remove its own file, not the other server's.
func TestTakingASecretBack(t *testing.T) {
	for name, test := range map[string]struct {
		before string // in the file; none if empty
		writes []string
		undo   int
		want   string // in the file; none if empty
	}{
		"alone":               {"", []string{"loser"}, 0, ""},
		"over an old one":     {"old", []string{"loser"}, 0, "old"},
		"after the other":     {"", []string{"winner", "loser"}, 1, "winner"},
		"before the other":    {"", []string{"loser", "winner"}, 0, "winner"},
		"before, over an old": {"old", []string{"loser", "winner"}, 0, "winner"},
		"after, over an old":  {"old", []string{"winner", "loser"}, 1, "winner"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "admin.key")
			if test.before != "" {
				if err := os.WriteFile(path, []byte(test.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			undo := make([]func() error, len(test.writes))
			for i, content := range test.writes {
				var err error
				if undo[i], _, err = writeSecret(path, content); err != nil {
					t.Fatal(err)
				}
			}
			if err := undo[test.undo](); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); string(got) != test.want || (err != nil) != (test.want == "") {
				t.Errorf("%q is left, %v, want %q", got, err, test.want)
			}
		})
	}
}
