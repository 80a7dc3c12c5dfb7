package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

func importedKey(i, owner int) jwks.ImportedKey {
	return jwks.ImportedKey{
		ID: fmt.Sprintf("018f0000-0000-7000-8000-%012d", i), Owner: fmt.Sprint("cust_", owner), Digest: jwks.SHA256Digest(fmt.Sprint(i)),
	}
}

// Imported keys are in the feed's form and fingerprint, and in the one that the store has, but in nothing public.
func TestImportedKeys(t *testing.T) {
	random := newRand(51)
	set, want := buildSet(t, 1, testKeys(t, 51, 3)...), map[jwks.KID]jwks.ImportedKey{}
	public := string(plainForm(t, set))
	for version := uint64(2); version < 200; version++ {
		c := jwks.Change{Version: version}
		touched := map[jwks.KID]bool{}
		for range random.IntN(20) {
			k := importedKey(random.IntN(500), random.IntN(3))
			kid := k.KID()
			if _, has := want[kid]; has && !touched[kid] && random.IntN(2) == 0 {
				c.Remove = append(c.Remove, kid) // as the store logs it
				delete(want, kid)
			} else if !touched[kid] {
				c.Unsigned.Imported = append(c.Unsigned.Imported, k)
				want[kid] = k
			}
			touched[kid] = true
		}
		var err error
		if set, err = set.Apply(c.Split()); err != nil {
			t.Fatal(err)
		}
		if !endsWith(set, c.Split()) {
			t.Fatalf("version %d is not the last", version)
		}
	}
	for kid, k := range want {
		k.Owner += "?"
		if endsWith(set, jwks.Change{Remove: []jwks.KID{kid}}.Split()) ||
			endsWith(set, jwks.Change{Unsigned: jwks.Unsigned{Imported: []jwks.ImportedKey{k}}}) {
			t.Fatal("a change that was not made is the last")
		}
	}
	feed, stored := set.Fingerprint(), set.Fingerprint()
	var builder Builder
	for kid, k := range want {
		toggle(&feed, k.Print())
		stored.Toggle(&kid)
		builder.Import(k)
		if got, ok := set.Imported(kid); !ok || got.Owner != k.Owner {
			t.Errorf("%+v is %+v", k, got)
		}
	}
	for leaf := range set.root.leaves {
		for _, key := range leaf.keys {
			_ = builder.Add(key, jwks.Attributes{})
		}
	}
	built, err := builder.Set(set.Version())
	if err != nil || built.FeedFingerprint() != set.FeedFingerprint() || set.FeedFingerprint() != feed ||
		set.storedPrint() != stored || set.ImportedLen() != len(want) || len(want) < 50 {
		t.Errorf("%v: another fingerprint, or %d keys instead of %d", err, set.ImportedLen(), len(want))
	}
	if got := string(plainForm(t, set)); got != public {
		t.Error("the public form differs")
	}
	var form struct{ Imported []jwks.ImportedKey }
	var text bytes.Buffer
	if err := set.writeFeed(&text, false); err != nil || json.Unmarshal(text.Bytes(), &form) != nil || len(form.Imported) != len(want) {
		t.Errorf("the feed's form has %d imported keys, %v", len(form.Imported), err)
	}
	gone := jwks.Change{Version: 200, Unsigned: jwks.Unsigned{Dropped: []jwks.KID{jwks.ImportedKID("x")}}}
	if _, err := set.Apply(gone); !errors.Is(err, jwks.ErrNotPublished) {
		t.Errorf("got %v", err)
	}
}

func plainForm(t *testing.T, set *Set) []byte {
	t.Helper()
	var text bytes.Buffer
	if _, err := set.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// The public stream says nothing of an imported key but that there is a version.
func TestImportedKeysOfTheStream(t *testing.T) {
	x := NewIndex(buildSet(t, 1, testKeys(t, 52, 1)...))
	x.watch()
	defer x.unwatch()
	k := importedKey(1, 1)
	for _, c := range []jwks.Change{
		{Version: 2, Unsigned: jwks.Unsigned{Imported: []jwks.ImportedKey{k}}}, {Version: 3, Remove: []jwks.KID{k.KID()}},
	} {
		if err := x.Apply(c); err != nil {
			t.Fatal(err)
		}
	}
	for _, event := range x.since(1, false).events {
		if text := string(event); !strings.Contains(text, `"add":[],"remove":[]`) {
			t.Errorf("the event is %s", text)
		}
	}
	if n := len(x.since(1, false).events); n != 2 {
		t.Errorf("%d events", n)
	}
}
