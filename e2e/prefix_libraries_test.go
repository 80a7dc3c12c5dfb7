package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// stripped are the places where the programs of the pages read the token, and what takes the prefix off there.
var stripped = strings.NewReplacer(
	`os.environ["TOKEN"]`, `os.environ["TOKEN"].removeprefix("acme-live-")`,
	`process.env.TOKEN`, `process.env.TOKEN.replace(/^acme-live-/, "")`,
	`os.Getenv("TOKEN")`, `os.Getenv("TOKEN")[len("acme-live-"):]`,
)

// TestE2EPrefixInLibraries runs the programs of the pages of client libraries in a workspace whose tokens have a prefix.
// With the prefix taken off, they accept the key, and refuse it after its revocation.
func TestE2EPrefixInLibraries(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pyjwt", "joserfc", "jose", "jwks-rsa", "aws-jwt-verify", "go-oidc"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := readPage("docs/howto/libraries/" + name + ".md")
			check(t, err)
			changed := 0
			for _, b := range page.blocks {
				if b.marks["file"] == "" {
					continue
				}
				if text := stripped.Replace(b.text); text != b.text {
					b.text = text
					changed++
				}
			}
			if changed != 1 {
				t.Fatalf("%d programs read the token", changed)
			}
			page.setup = "prefix"
			docsPlaces <- struct{}{}
			defer func() { <-docsPlaces }()
			newDocsRun(t, page).run()
		})
	}
}

// The expressions with which secret scanners find a JWT: gitleaks' rule jwt (config/gitleaks.toml), and TruffleHog's
// detector jwt (pkg/detectors/jwt).
var scanners = map[string]*regexp.Regexp{
	"gitleaks": regexp.MustCompile(`\b(ey[a-zA-Z0-9]{17,}\.ey[a-zA-Z0-9\/\\_-]{17,}\.` +
		`(?:[a-zA-Z0-9\/\\_-]{10,}={0,2})?)(?:[\x60'"\s;]|\\[nr]|$)`),
	"TruffleHog": regexp.MustCompile(`\b((?:eyJ|ewogIC)[A-Za-z0-9_-]{12,}\.ey[A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]{12,})\b`),
}

// TestE2EPrefixFoundByScanners checks that scanners find the JWT after a prefix that ends in a hyphen, and would not after
// an underscore; and that the expression of the page finds the whole token, and nothing else.
func TestE2EPrefixFoundByScanners(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.setPrefix(t, "acme-live-", nil)
	token := admin.mustIssue(t, "acme").Token
	_, jwt := jwks.CutPrefix(token)
	for name, scanner := range scanners {
		for _, text := range []string{"KEY=" + token, `"` + token + `"`, token, "Authorization: Bearer " + token + "\n"} {
			if found := scanner.FindStringSubmatch(text); found == nil || found[1] != jwt {
				t.Errorf("%s does not find the key", name)
			}
		}
		if scanner.MatchString("KEY=acme_live_" + jwt) {
			t.Errorf("%s finds a JWT after an underscore: the reason for the hyphen is gone", name)
		}
	}
	page, err := readPage("docs/howto/prefixes.md")
	check(t, err)
	var documented *regexp.Regexp
	for _, b := range page.blocks {
		if found := regexp.MustCompile(`regex = '''(.*)'''`).FindStringSubmatch(b.text); found != nil {
			documented = regexp.MustCompile(found[1])
		}
	}
	if documented == nil {
		t.Fatal("the page has no expression")
	}
	for _, before := range []string{"", "KEY=", `"`, "Bearer ", "x_", ":"} {
		if got := documented.FindString(before + token + "\n"); got != token {
			t.Errorf("after %q the page's expression finds %.40q", before, got)
		}
	}
	for _, other := range []string{
		jwt, "acme-test-" + jwt, token[:len(token)-1], "acme-live-" + jwt[1:], "acme-live-eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
	} {
		if documented.MatchString(other) {
			t.Errorf("the page's expression finds %.40q", other)
		}
	}
}
