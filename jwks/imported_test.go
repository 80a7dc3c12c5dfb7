package jwks

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseDigest(t *testing.T) {
	d := SHA256Digest("key")
	hexed := fmt.Sprintf("%x", d.Sum)
	for _, text := range []string{
		d.String(), "sha256:" + hexed, "sha256:" + strings.ToUpper(hexed), d.String() + "=",
		"sha256:" + base64.StdEncoding.EncodeToString(d.Sum[:]),
	} {
		if got, err := ParseDigest(text); err != nil || got != d {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	mac := HMACDigest([]byte("pepper"), "key")
	if got, err := ParseDigest(mac.String()); err != nil || got != mac || got == d {
		t.Errorf("hmac: %v %v", got, err)
	}
	for _, bad := range []string{
		"", "sha256:", hexed, "md5:" + hexed, "sha256:" + hexed[1:], "hmac-sha256:sha256:" + hexed, d.String() + "==",
		"sha256:" + strings.Repeat("A", 41) + "\r\n", "sha256:" + strings.Repeat("z", 64),
	} {
		if _, err := ParseDigest(bad); !errors.Is(err, ErrDigest) || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestImportedKID(t *testing.T) {
	kid := ImportedKID("018f0000-0000-7000-8000-000000000001")
	if !kid.IsImported() || kid == ImportedKID("018f0000-0000-7000-8000-000000000002") || (KID{}).IsImported() {
		t.Errorf("%s", kid)
	}
	for _, key := range testKeys(t, 71, 50) {
		if key.kid.IsImported() {
			t.Errorf("%s", key.kid)
		}
	}
}

func importedKey(i int, a Attributes) ImportedKey {
	return ImportedKey{
		ID: fmt.Sprintf("018f0000-0000-7000-8000-%012d", i), Owner: fmt.Sprint("cust_", i%7), Digest: SHA256Digest(fmt.Sprint("key ", i)),
		Audience: []string{"acme-company"}, ImportedAt: 1_700_000_000, Attributes: a,
	}
}

func (m *feedModel) randomImports(random *rand.Rand, u *Unsigned) {
	for kid := range m.imported {
		if random.IntN(20) == 0 {
			u.Dropped = append(u.Dropped, kid)
		}
	}
	for i := range 30 {
		if k := importedKey(i, randomAttributes(random)); random.IntN(15) == 0 && !slices.Contains(u.Dropped, k.KID()) {
			u.Imported = append(u.Imported, k)
		}
	}
}

// A change that drops an unknown key, or the same key twice, leaves everything as it was.
func TestTableRefusesDrops(t *testing.T) {
	table, key := new(Table), testKeys(t, 72, 1)[0]
	want := emptyFeed()
	want.version = 1
	want.install(t, table)
	first := Change{Version: 2, Add: []Key{key}, Unsigned: Unsigned{Imported: []ImportedKey{importedKey(1, Attributes{})}}}
	if err := table.Apply(first); err != nil {
		t.Fatal(err)
	}
	want.apply(first)
	kid := ImportedKID(importedKey(1, Attributes{}).ID)
	for _, drop := range [][]KID{{ImportedKID("other")}, {kid, kid}} {
		if err := table.Apply(Change{Version: 3, Remove: []KID{key.kid}, Unsigned: Unsigned{Dropped: drop}}); !errors.Is(err, ErrNotPublished) {
			t.Errorf("%v", err)
		}
	}
	bad := importedKey(2, Attributes{Scopes: []string{"a b"}})
	if err := table.Apply(Change{Version: 3, Unsigned: Unsigned{Imported: []ImportedKey{bad}}}); !errors.Is(err, ErrAttributes) {
		t.Errorf("%v", err)
	}
	want.check(t, table)
}

// A state file has imported keys in its whole sets and in its changes.
func TestJournalOfImportedKeys(t *testing.T) {
	path, random := filepath.Join(t.TempDir(), "state"), newRand(73)
	j, _, err := openTestJournal(t, path)
	if err != nil {
		t.Fatal(err)
	}
	want, keys := emptyFeed(), testKeys(t, 73, 20)
	want.version = 1
	want.install(t, j.table)
	j.setWhole(j.section, time.Now())
	j.write(true)
	for i := range 40 {
		c := want.randomChange(random, keys)
		want.apply(c)
		if err := j.table.Apply(c); err != nil {
			t.Fatal(err)
		}
		j.add(j.section, c)
		if j.write(i%9 == 0); i == 20 {
			j.setWhole(j.section, time.Now())
		}
	}
	j.write(true)
	j.unlock()
	table := new(Table)
	read, _, err := openJournal(path, journalURL, func(string) *Table { return table }, slog.New(slog.DiscardHandler))
	if err != nil || len(want.imported) == 0 {
		t.Fatal(err, len(want.imported))
	}
	read.unlock()
	want.check(t, table)
}

// One index of a Feed finds the keys of all workspaces. A workspace does not take another's key away.
func TestImportIndex(t *testing.T) {
	f := &Feed{}
	tables := map[string]*Table{"a": new(Table), "b": new(Table)}
	for ws, table := range tables {
		table.imports.workspace, table.imports.index = ws, &f.imports
		m := emptyFeed()
		m.version = 1
		m.install(t, table)
	}
	apply := func(ws string, u Unsigned) {
		t.Helper()
		if err := tables[ws].Apply(Change{Version: tables[ws].Version() + 1, Unsigned: u}); err != nil {
			t.Fatal(err)
		}
	}
	keys := []ImportedKey{importedKey(0, Attributes{}), importedKey(1, Attributes{}), importedKey(2, Attributes{})}
	found := func() map[string]string {
		all := map[string]string{}
		for _, k := range keys {
			if i, ok := f.FindImported(k.Digest); ok && i.KID() == k.KID() {
				all[k.ID[len(k.ID)-1:]] = i.Workspace
			}
		}
		return all
	}
	want := func(all map[string]string) {
		t.Helper()
		if got := found(); !maps.Equal(got, all) || f.ImportedLen() != len(all) {
			t.Errorf("found %v, %d in all; want %v", got, f.ImportedLen(), all)
		}
	}
	apply("a", Unsigned{Imported: keys[:2]})
	apply("b", Unsigned{Imported: keys[1:]})
	want(map[string]string{"0": "a", "1": "a", "2": "b"})
	apply("b", Unsigned{Dropped: []KID{keys[1].KID()}})
	want(map[string]string{"0": "a", "1": "a", "2": "b"})
	keys[0].Digest = SHA256Digest("another")
	apply("a", Unsigned{Imported: keys[:1], Dropped: []KID{keys[1].KID()}})
	want(map[string]string{"0": "a", "2": "b"})
	other := keys[0].Digest
	other.HMAC = true
	if _, ok := f.FindImported(other); ok {
		t.Error("another algorithm")
	}
	same := keys[2] // of b: the same sum as a key of a
	same.ID, same.Digest = importedKey(3, Attributes{}).ID, other
	apply("b", Unsigned{Imported: []ImportedKey{same}})
	if i, ok := f.FindImported(other); !ok || i.KID() != same.KID() {
		t.Error("a workspace takes another's place")
	}
	apply("b", Unsigned{Dropped: []KID{same.KID()}})
	want(map[string]string{"0": "a", "2": "b"})
	m := emptyFeed() // a whole set without them
	m.version = 9
	m.install(t, tables["a"])
	want(map[string]string{"2": "b"})
	tables["b"].forgetImported()
	want(map[string]string{})
}

func TestVerifyImported(t *testing.T) {
	f, table, now := &Feed{}, new(Table), time.Unix(1_800_000_000, 0).UTC()
	table.imports.workspace, table.imports.index = "acme", &f.imports
	m := emptyFeed()
	m.version = 1
	m.install(t, table)
	v := &Verifier{Keys: table, Audience: []string{"acme-company"}, Now: func() time.Time { return now }}
	from := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		name string
		a    Attributes
		aud  string
		want error
	}{
		{"valid", Attributes{Scopes: []string{"a", "b"}, NeverExpires: true, Plan: "gold"}, "acme-company", nil},
		{"expired", Attributes{ExpiresAt: now}, "acme-company", ErrExpired},
		{"after its grace", Attributes{NeverExpires: true, RotatedAt: now.Add(-time.Hour), EndsAt: now}, "acme-company", ErrExpired},
		{"another audience", Attributes{NeverExpires: true}, "other", ErrAudience},
		{
			"another address",
			Attributes{NeverExpires: true, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
			"acme-company", ErrAddress,
		},
	} {
		k := importedKey(1, c.a)
		k.Audience = []string{c.aud}
		if err := table.Apply(Change{Version: table.Version() + 1, Unsigned: Unsigned{Imported: []ImportedKey{k}}}); err != nil {
			t.Fatal(err)
		}
		found, ok := f.FindImported(k.Digest)
		if !ok {
			t.Fatal(c.name)
		}
		claims, err := v.VerifyImported(found, from)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && (claims.Subject != k.Owner || claims.ID != k.ID || claims.Scope != "a b" || claims.Attributes.Plan != "gold") {
			t.Errorf("%s: %+v", c.name, claims)
		}
		if a, ok := table.Attributes(k.KID()); !ok || !reflect.DeepEqual(a, c.a) {
			t.Errorf("%s: Attributes returns %+v", c.name, a)
		}
	}
}

// BenchmarkImportedMemory reports the bytes of an imported key in a Table of a Feed.
func BenchmarkImportedMemory(b *testing.B) {
	const count = 100_000
	for b.Loop() {
		before := resident(b)
		f, table := new(Feed), new(Table)
		table.imports.workspace, table.imports.index = "acme", &f.imports
		set := table.refresh()
		for i := range count {
			if err := set.Import(importedKey(i, typical)); err != nil {
				b.Fatal(err)
			}
		}
		if err := set.install(1, nil); err != nil {
			b.Fatal(err)
		}
		set = nil
		b.ReportMetric(float64(resident(b)-before)/count, "B/key")
		runtime.KeepAlive(table)
		runtime.KeepAlive(f)
	}
}
