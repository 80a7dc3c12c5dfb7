package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
)

func TestE2ECLIVerify(t *testing.T) {
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	admin.mustCreate(t, "beta")
	brief := admin.mustIssue(t, "acme", "expires_in", 1)
	good := admin.mustIssue(t, "acme", "scopes", []string{"maps:read"}, "claims", map[string]any{"tier": "gold"})
	revoked, other := admin.mustIssue(t, "acme"), admin.mustIssue(t, "beta")
	admin.mustRevoke(t, revoked)
	eventually(t, "a key expires", func() bool { return time.Now().After(*brief.ExpiresAt) })
	p := cut(good.Token)
	altered := parts{p.head, b64(strings.Replace(plain(t, p.body), "maps:read", "maps:edit", 1)), p.sig}.join()
	text, _, err := s.fetch("acme")
	check(t, err)
	file := filepath.Join(t.TempDir(), "jwks.json")
	check(t, os.WriteFile(file, text, 0o600))

	sources := map[string][]string{
		"--server":    {"--server", s.url},
		"--jwks URL":  {"--jwks", s.jwksURL("acme")},
		"--jwks FILE": {"--jwks", file},
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			verdict(t, good.Token, "good", "", source)
			verdict(t, revoked.Token, "refused", "not published", source)
			verdict(t, brief.Token, "refused", "expired", source)
			verdict(t, altered, "refused", "signature", source)
			verdict(t, parts{b64(header("RS256", strings.Repeat("A", 43))), p.body, p.sig}.join(), "refused", "not published", source)
			if name != "--server" {
				verdict(t, other.Token, "refused", "not published", source)
			}
			junk(t, p, source)
		})
	}
	t.Run("offline", func(t *testing.T) {
		command{args: []string{"verify", "-"}, stdin: "sk_live_secretword"}.run(t).fails(t, "burnkey key find -")
		verdict(t, good.Token, "unchecked", "not checked", nil)
		verdict(t, revoked.Token, "unchecked", "not checked", nil)
		verdict(t, brief.Token, "refused", "expired", nil)
		junk(t, p, nil)
		says(t, command{args: []string{"verify", "-"}, stdin: good.Token}.run(t).ok(t).stdout, good.ID, good.KID, "cust_1", "acme",
			"maps:read", `{"tier":"gold"}`, "not looked up")
	})
	t.Run("pasted", func(t *testing.T) {
		for _, text := range []string{"Authorization: Bearer " + good.Token + "\r\n", "\ufeffAPI_KEY=\"" + good.Token + "\"\n", "`" +
			good.Token + "`."} {
			says(t, command{args: []string{"verify", "-"}, stdin: text}.run(t).ok(t).stdout, good.ID)
		}
	})
	t.Run("no such set", func(t *testing.T) {
		for _, source := range [][]string{
			{"--jwks", filepath.Join(t.TempDir(), "no-such-file")},
			{"--jwks", s.jwksURL("nobody")},
			{"--jwks", s.url + "/healthz"},
		} {
			command{args: append([]string{"verify", "-"}, source...), stdin: good.Token}.run(t).fails(t, "set")
		}
		command{args: []string{"verify", "-", "--server", "http://" + envoytest.FreeAddr(t)}, stdin: good.Token}.run(t).fails(t, "workspace")
	})
	t.Run("access token", func(t *testing.T) {
		signer, parent := gatewaytest.NewPair(), gatewaytest.NewPair()
		token := signer.AccessToken(gatewaytest.AccessPayload("acme", parent.KID()))
		set := func(keys ...gatewaytest.Pair) []string {
			var jwks []string
			for _, k := range keys {
				jwks = append(jwks, string(k.Key.AppendJWK(nil)))
			}
			path := filepath.Join(t.TempDir(), "set.json")
			check(t, os.WriteFile(path, []byte(`{"keys":[`+strings.Join(jwks, ",")+`]}`), 0o600))
			return []string{"--jwks", path}
		}
		verdict(t, token, "good", "", set(signer, parent))
		verdict(t, token, "refused", "not published", set(signer))
		verdict(t, token, "refused", "not published", set(parent))
		says(t, command{args: append([]string{"verify", "-"}, set(signer, parent)...), stdin: token}.run(t).ok(t).stdout,
			"key-1", parent.KID().String(), "at+jwt")
	})
	t.Run("issuer", func(t *testing.T) {
		set := []string{"--jwks", s.jwksURL("acme")}
		verdict(t, good.Token, "good", "", append(set, "--issuer", good.issuer(t)))
		verdict(t, good.Token, "refused", "issuer", append(set, "--issuer", good.issuer(t)+"x"))
		says(t, command{args: append([]string{"verify", "-"}, set...), stdin: good.Token}.run(t).ok(t).stdout, "not checked")
		// A gateway that is given the server's new address refuses the token, too.
		s.stop()
		s.flags = append(s.flags, "--public-url", "http://moved.example")
		s.start()
		verdict(t, good.Token, "refused", "issuer", []string{"--server", s.url})
	})
}

// issuer returns the token's iss.
func (k key) issuer(t *testing.T) string {
	t.Helper()
	var claims struct{ Iss string }
	check(t, json.Unmarshal([]byte(plain(t, cut(k.Token).body)), &claims))
	return claims.Iss
}

// said is verify's JSON output.
type said struct {
	Verdict, Reason, Key, KID, Owner, Issuer string
	Published                                *bool
}

// verdict checks the result of `burnkey verify` for a token: as an argument and on standard input, as a table
// and as JSON.
func verdict(t *testing.T, token, want, reason string, source []string) {
	t.Helper()
	code := 0
	if want == "refused" {
		code = 1
	}
	table := run(t, slices.Concat([]string{"verify", token}, source)...)
	if table.code != code || table.stderr != argumentIsRead || !strings.Contains(lines(table.stdout)[0], want) ||
		!strings.Contains(lines(table.stdout)[0], reason) {
		t.Errorf("exit status %d, want %d and %s (%s): %s%s", table.code, code, want, reason, table.stdout, table.stderr)
	}
	piped := command{args: slices.Concat([]string{"verify", "-", "-o", "json"}, source), stdin: token + "\n"}.run(t)
	var got said
	if err := json.Unmarshal([]byte(piped.stdout), &got); err != nil || piped.code != code || got.Verdict != want ||
		!strings.Contains(got.Reason, reason) {
		t.Errorf("from standard input: exit status %d, %s%s", piped.code, piped.stdout, piped.stderr)
	}
	if (got.Published == nil) != (source == nil) {
		t.Errorf("published: %v", got.Published)
	}
}

// argumentIsRead is the warning about a token in an argument.
const argumentIsRead = "burnkey: warning: other users of this machine can read a token on the command line; use - and pass it on " +
	"standard input\n"

// junk checks a string that is not a token: the exit status is 1, and the output does not repeat the string.
func junk(t *testing.T, p parts, source []string) {
	t.Helper()
	for name, token := range map[string]string{
		"a word": "secretword", "two parts": p.head + "." + p.body, "no kid": parts{b64(`{"alg":"RS256","typ":"JWT"}`), p.body, p.sig}.join(),
		"alg none": parts{b64(`{"alg":"none","typ":"JWT"}`), p.body, ""}.join(),
	} {
		for _, c := range []command{
			{args: slices.Concat([]string{"verify"}, source, []string{"--", token})},
			{args: slices.Concat([]string{"verify", "-"}, source), stdin: token},
		} {
			r := c.run(t)
			r.stderr = strings.TrimPrefix(r.stderr, argumentIsRead)
			if r.fails(t, "malformed token"); strings.Contains(r.stderr, "secretword") || strings.Contains(r.stderr, p.body) {
				t.Errorf("%s: the text is repeated", name)
			}
		}
	}
}
