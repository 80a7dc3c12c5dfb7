package e2e_test

import (
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// burgled is a server with the exchange. A thief has its database and files, and tries all secrets in them at its doors.
type burgled struct {
	*server
	admin *client
	store openable
	// doors report whether a secret is accepted, by name.
	doors map[string]func(secret string) bool
	// key is a valid key, and access its access token.
	key, access string
}

const (
	importedText = "3L1deIyHyQA40WpeLeA1bIUXuvTwlGjo" // the texts of imported keys
	pepperedText = "4L1deIyHyQA40WpeLeA1bIUXuvTwlGjo"
	pepper       = "a pepper of thirty-two characters"
)

// openable is a database that a thief can read: the driver and source by which to open it, and a query of its tables' names.
type openable struct{ driver, source, tables string }

func burgle(t *testing.T, database string) *burgled {
	t.Helper()
	s := newServer(t, "--log-level", "debug")
	store := openable{"sqlite", "file:" + s.databaseFile() + "?mode=ro", "SELECT name FROM sqlite_schema WHERE type = 'table'"}
	if database != "" {
		s.flags = append(s.flags, "--database", database)
		store = openable{"pgx", database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"}
	}
	secrets := map[string]string{"pepper-file": pepper, "webhook-secret-file": "whsec_" + strings.Repeat("Y3Rk", 8)}
	for flag, secret := range secrets {
		file := filepath.Join(s.dir, flag)
		check(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
		s.flags = append(s.flags, "--"+flag, file)
	}
	s.start()
	b := &burgled{server: s, admin: s.admin(), store: store}
	check(t, os.Remove(s.keyFile)) // operators keep it elsewhere
	b.admin.mustCreate(t, "acme")
	b.admin.mustExchange(t, "acme")
	var keys []map[string]any
	for _, digest := range []jwks.Digest{jwks.SHA256Digest(importedText), jwks.HMACDigest([]byte(pepper), pepperedText)} {
		keys = append(keys, map[string]any{"digest": digest.String(), "owner": "cust_2"})
	}
	check(t, b.admin.call(http.MethodPost, "/v1/workspaces/acme/imports", map[string]any{"keys": keys}, nil))
	k := b.admin.mustIssue(t, "acme")
	b.admin.mustIssue(t, "acme", "parent", k.ID)
	b.key, b.access = k.Token, b.admin.exchanged(t, k)

	door := newDoor(t, s.url, "--key-file", gatewayKey(t, b.admin, map[string]any{}), "--pepper-file", filepath.Join(s.dir, "pepper-file"))
	door.start()
	door.ready()
	envoy := startGateway(t, s, "acme")
	b.doors = map[string]func(string) bool{
		"Envoy":   func(secret string) bool { return envoy.get(t, secret) == http.StatusOK },
		"gateway": func(secret string) bool { code, err := door.ask(secret); return err == nil && code == http.StatusOK },
		"token endpoint": func(secret string) bool {
			return b.asks("/token", "", url.Values{"grant_type": {"client_credentials"}, "client_secret": {secret}})
		},
		"introspection": func(secret string) bool { return b.asks("/introspect", secret, url.Values{"token": {"x"}}) },
	}
	return b
}

// asks posts a form, with the secret, if any, as the password, and reports whether the answer is 200.
func (b *burgled) asks(path, secret string, form url.Values) bool {
	r, err := http.NewRequest(http.MethodPost, b.issuer("acme")+path, strings.NewReader(form.Encode()))
	check(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		r.SetBasicAuth("cust_1", secret)
	}
	resp, err := plainHTTP.Do(r)
	check(b.t, err)
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK || resp.StatusCode/100 == 4 && resp.StatusCode != http.StatusTooManyRequests {
		return resp.StatusCode == http.StatusOK
	}
	b.t.Errorf("%s: %s", path, resp.Status)
	return false
}

// TestE2EExchangeThief gives a thief the whole database and every file of a server with the exchange. No secret in them is accepted
// anywhere, nor any token that a thief can make with them.
func TestE2EExchangeThief(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { gainsNothing(t, burgle(t, "")) })
	t.Run("postgres", func(t *testing.T) { gainsNothing(t, burgle(t, pgtest.Start(t, nil).Database(t))) })
}

func gainsNothing(t *testing.T, b *burgled) {
	for name, secrets := range map[string][]string{
		"Envoy": {b.key, b.access}, "gateway": {b.key, b.access, importedText, pepperedText},
		"token endpoint": {b.key, importedText, pepperedText},
		"introspection":  {b.admin.token},
	} {
		for i, secret := range secrets {
			eventually(t, fmt.Sprintf("%s accepts valid secret %d", name, i), func() bool { return b.doors[name](secret) })
		}
	}
	found := b.loot(t)
	digest := jwks.SHA256Digest(importedText)
	for what, secret := range map[string]string{
		"a digest": hex.EncodeToString(digest.Sum[:]), "the pepper": pepper, "the kid of a signer": kid(t, b.access),
	} {
		if !slices.Contains(found, secret) {
			t.Errorf("%s was not found, so this test shows nothing", what)
		}
	}
	forged := b.forged(t)
	for _, secret := range append(found, forged...) {
		for name, accepts := range b.doors {
			if accepts(secret) {
				t.Errorf("%s accepts %q, which a thief can find or make", name, secret)
			}
		}
	}
	t.Logf("%d secrets were found and %d tokens forged", len(found), len(forged))
	fresh := b.admin.exchanged(t, key{Workspace: "acme", Token: b.key}) // the first may have expired meanwhile
	for _, name := range []string{"Envoy", "gateway"} {
		if !b.doors[name](fresh) {
			t.Errorf("%s refuses a valid access token afterwards, so this test shows nothing", name)
		}
	}
}

// word matches parts of a text that are long enough to be secrets.
var word = regexp.MustCompile(`[A-Za-z0-9+/=_.:$-]{16,}`)

// loot returns all values of the database, each in several spellings, and the words and lines of all files.
func (b *burgled) loot(t *testing.T) []string {
	t.Helper()
	all := make(map[string]bool)
	read := func(text string) {
		for _, w := range append(word.FindAllString(text, -1), strings.Split(text, "\n")...) {
			if w = strings.TrimSpace(w); len(w) >= 16 && len(w) <= 1024 && !logged.MatchString(w) && !strings.ContainsFunc(w, unprintable) {
				all[w] = true
				if sum, err := base64.RawURLEncoding.DecodeString(w[strings.LastIndexByte(w, ':')+1:]); err == nil && len(sum) == 32 {
					all[hex.EncodeToString(sum)], all[b64(string(sum))] = true, true
				}
			}
		}
	}
	for _, value := range b.store.values(t) {
		switch value := value.(type) {
		case string:
			read(value)
		case []byte:
			all[hex.EncodeToString(value)] = len(value) >= 16
			all[base64.RawURLEncoding.EncodeToString(value)] = len(value) >= 16
			read(string(value))
		}
	}
	check(t, filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, b.databaseFile()) {
			return err
		}
		text, err := os.ReadFile(path)
		read(string(text))
		return err
	}))
	maps.DeleteFunc(all, func(_ string, long bool) bool { return !long })
	return slices.Sorted(maps.Keys(all))
}

// logged matches words that differ in each line of the log.
var logged = regexp.MustCompile(`^(time|request_id|took|from)=`)

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// values returns all values of the database.
func (o openable) values(t *testing.T) (all []any) {
	t.Helper()
	db, err := sql.Open(o.driver, o.source)
	check(t, err)
	defer db.Close()
	query := func(text string) (rows [][]any) {
		found, err := db.Query(text)
		check(t, err)
		defer found.Close()
		columns, err := found.Columns()
		check(t, err)
		for found.Next() {
			row, to := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				to[i] = &row[i]
			}
			check(t, found.Scan(to...))
			rows = append(rows, row)
		}
		check(t, found.Err())
		return rows
	}
	for _, table := range query(o.tables) {
		for _, row := range query(fmt.Sprintf("SELECT * FROM %q", table[0])) {
			all = append(all, row...)
		}
	}
	return all
}

// forged returns tokens of both types, with each kid of the published set and with unknown ones, signed with all that a thief has:
// a key of their own, published keys, and secrets from files.
func (b *burgled) forged(t *testing.T) (all []string) {
	t.Helper()
	set, own := b.mustPublished("acme"), testkit.PrivateKey()
	mine, err := jwks.FromPublicKey(&own.PublicKey)
	check(t, err)
	moduli := maps.Clone(set.moduli)
	moduli[mine.KID().String()] = own.N
	moduli[base64.RawURLEncoding.EncodeToString(make([]byte, 32))] = own.N
	for id, n := range moduli {
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
		check(t, err)
		shared := [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), n.Bytes(), []byte(pepper), {}}
		for _, typ := range []string{"JWT", "at+jwt"} {
			head := func(alg, more string) string {
				return `{"alg":"` + alg + `","kid":"` + id + `","typ":"` + typ + `"` + more + `}`
			}
			for _, payload := range b.payloads(t) {
				all = append(all, testkit.Sign(own, head("RS256", ""), payload), testkit.Sign(nil, head("RS256", ""), payload),
					testkit.Sign(own, head("RS256", `,"jwk":{"kty":"RSA","e":"AQAB","n":"`+b64(string(own.N.Bytes()))+`"}`), payload),
					b64(head("none", ""))+"."+b64(payload)+".")
				for _, secret := range shared {
					all = append(all, hs256(b64(head("HS256", "")), b64(payload), secret))
				}
			}
		}
	}
	return all
}

// payloads returns the claims of the key, of its access token, and of the access token of an imported key.
func (b *burgled) payloads(t *testing.T) []string {
	t.Helper()
	imported := b.admin.exchanged(t, key{Workspace: "acme", Token: importedText})
	return []string{plain(t, cut(b.key).body), plain(t, cut(b.access).body), plain(t, cut(imported).body)}
}
