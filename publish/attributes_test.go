package publish

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// planned returns attributes that depend on a number, none for 0.
func planned(i int) (a jwks.Attributes) {
	if i%4 != 0 {
		a.Plan = fmt.Sprint("plan-", i%4)
		a.AllowedIPs = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", i%250))}
	}
	return a
}

func limited(on, name string, requests uint32) jwks.LimitSet {
	set := jwks.LimitSet{On: on, Name: name}
	if requests > 0 {
		set.Limits = []jwks.Limit{{Name: "rate", Requests: requests, Seconds: 60}}
	}
	return set
}

// unsigned is the reference for the unsigned part of a Set.
type unsigned struct {
	keys   model
	set    map[jwks.KID]jwks.Attributes
	limits map[string]jwks.LimitSet

	settings jwks.Settings
}

func newUnsigned() *unsigned {
	return &unsigned{keys: model{}, set: map[jwks.KID]jwks.Attributes{}, limits: map[string]jwks.LimitSet{}}
}

func (u *unsigned) apply(c jwks.Change) {
	for _, kid := range c.Remove {
		delete(u.keys, kid)
		delete(u.set, kid)
	}
	for _, key := range c.Add {
		u.keys[key.KID()] = key
	}
	for _, k := range c.Unsigned.Set {
		if u.set[k.KID] = k.Attributes; k.Attributes.IsZero() {
			delete(u.set, k.KID)
		}
	}
	for _, l := range c.Unsigned.Limits {
		if u.limits[l.On+" "+l.Name] = l; len(l.Limits) == 0 {
			delete(u.limits, l.On+" "+l.Name)
		}
	}
	if c.Unsigned.Settings != nil {
		u.settings = *c.Unsigned.Settings
	}
}

// print computes the fingerprint of the feed from its definition.
func (u *unsigned) print() (f jwks.Fingerprint) {
	for kid := range u.keys {
		f.Toggle(&kid)
	}
	for kid, a := range u.set {
		toggle(&f, (&jwks.KeyAttributes{KID: kid, Attributes: a}).Print())
	}
	for _, l := range u.limits {
		toggle(&f, l.Print())
	}
	toggle(&f, u.settings.Print())
	return f
}

func (u *unsigned) check(t *testing.T, set *Set) {
	t.Helper()
	for kid := range u.keys {
		k := jwks.KeyAttributes{KID: kid, Attributes: u.set[kid]}
		if !set.hasAttributes(&k) {
			t.Fatalf("version %d: %s has %+v, want %+v", set.Version(), kid, set.Attributes(kid), u.set[kid])
		}
	}
	for _, l := range u.limits {
		if !set.has(&l) {
			t.Fatalf("version %d: limits on %s %s are missing", set.Version(), l.On, l.Name)
		}
	}
	if len(set.shared) != len(u.limits) {
		t.Fatalf("version %d: %d shared limits, want %d", set.Version(), len(set.shared), len(u.limits))
	}
	if set.settings != u.settings {
		t.Fatalf("version %d: the settings are %v, want %v", set.Version(), set.settings, u.settings)
	}
	if set.FeedFingerprint() != u.print() {
		t.Fatalf("version %d: the fingerprint of the feed is another", set.Version())
	}
	for leaf := range set.root.leaves {
		if leaf.attrs != nil && (len(leaf.attrs) != leaf.count || someOf(leaf.attrs) == nil) {
			t.Fatalf("version %d: a leaf of %d keys stores attributes of %d", set.Version(), leaf.count, len(leaf.attrs))
		}
	}
}

// The attributes of random changes agree with those of a map, and the public forms with those of a set without
// attributes.
func TestAttributesAgreeWithAModel(t *testing.T) {
	random, all := newRand(31), testKeys(t, 31, 400)
	with, public, want := buildSet(t, 0), buildSet(t, 0), newUnsigned()
	for version := uint64(1); version <= 600; version++ {
		c := jwks.Change{Version: version}
		for range random.IntN(12) {
			key := all[random.IntN(len(all))]
			kid := key.KID()
			_, published := want.keys[kid]
			touched := slices.Contains(c.Add, key) || slices.Contains(c.Remove, kid)
			switch {
			case !touched && !published:
				c.Add = append(c.Add, key)
				c.Unsigned.Set = append(c.Unsigned.Set, jwks.KeyAttributes{KID: kid, Attributes: planned(random.IntN(9))})
			case !touched && random.IntN(3) == 0:
				c.Remove = append(c.Remove, kid)
				c.Unsigned.Set = slices.DeleteFunc(c.Unsigned.Set, func(k jwks.KeyAttributes) bool { return k.KID == kid })
			case published && !slices.Contains(c.Remove, kid):
				c.Unsigned.Set = append(c.Unsigned.Set, jwks.KeyAttributes{KID: kid, Attributes: planned(random.IntN(9))})
			}
		}
		c.Unsigned.Limits = append(c.Unsigned.Limits, limited(jwks.OnOwner, fmt.Sprint(random.IntN(20)), uint32(random.IntN(3))))
		if random.IntN(20) == 0 {
			c.Unsigned.Settings = &jwks.Settings{TokenPrefix: []string{"", "a-"}[random.IntN(2)]}
		}
		want.apply(c)
		var err error
		if with, err = with.Apply(c); err != nil {
			t.Fatal(err)
		}
		public = apply(t, public, c.Add, c.Remove...)
		want.check(t, with)
		if version%20 != 0 {
			continue
		}
		want.keys.check(t, with)
		checkGzip(t, with)
		if with.Fingerprint() != public.Fingerprint() || *with.fields().headPublic() != *public.fields().headPublic() {
			t.Fatal("the public header shows the attributes")
		}
		if !bytes.Equal(plainBytes(t, with), plainBytes(t, public)) || !bytes.Equal(gzipBytes(t, with), gzipBytes(t, public)) {
			t.Fatal("the public bytes show the attributes")
		}
	}
}

// headPublic returns the values of all public header fields.
func (h *heads) headPublic() *[6]string {
	return &[6]string{h.plain[0], h.zipped[0], h.bare[0], h.bareZip[0], h.print[0], h.version[0]}
}

func TestBuilderAttributes(t *testing.T) {
	keys := testKeys(t, 32, 3*buildBatch/2)
	var b Builder
	want := newUnsigned()
	for i, key := range keys {
		set := []jwks.KeyAttributes{{KID: key.KID(), Attributes: planned(i)}}
		want.apply(jwks.Change{Add: []jwks.Key{key}, Unsigned: jwks.Unsigned{Set: set}})
		if err := b.Add(key, planned(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint32(5) {
		set := limited(jwks.OnPlan, fmt.Sprint("plan-", i%3), i+1) // the later ones replace
		want.apply(jwks.Change{Unsigned: jwks.Unsigned{Limits: []jwks.LimitSet{set}}})
		b.Share(set)
	}
	set, err := b.Set(7)
	if err != nil {
		t.Fatal(err)
	}
	want.check(t, set)
}

func TestAttributesOfAnUnpublishedKey(t *testing.T) {
	keys := testKeys(t, 33, 3)
	set := buildSet(t, 1, keys[:2]...)
	entry := func(key jwks.Key) jwks.Unsigned {
		return jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: key.KID(), Attributes: planned(1)}}}
	}
	for name, c := range map[string]jwks.Change{
		"unknown":               {Unsigned: entry(keys[2])},
		"removed by the change": {Remove: []jwks.KID{keys[0].KID()}, Unsigned: entry(keys[0])},
	} {
		c.Version = 2
		if _, err := set.Apply(c); !errors.Is(err, jwks.ErrNotPublished) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if set.FeedFingerprint() != set.Fingerprint() {
		t.Error("a refused change is visible")
	}
}

// A change of attributes alone renders nothing again.
func TestAttributesKeepTheForms(t *testing.T) {
	set := buildSet(t, 1, testKeys(t, 34, 1000)...)
	for range 2 { // the second creates the whole form
		plainBytes(t, set)
	}
	gzipBytes(t, set)
	kid := slices.Collect(set.KIDs)[500]
	next, err := set.Apply(jwks.Change{Version: 2, Unsigned: jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: kid, Attributes: planned(1)}}}})
	if err != nil {
		t.Fatal(err)
	}
	if next.rendered != set.rendered || next.root.leafOf(&kid).forms != set.root.leafOf(&kid).forms {
		t.Error("the forms are rendered again")
	}
	if set.Attributes(kid).Plan != "" || next.Attributes(kid).Plan == "" {
		t.Error("the older version changed, or the later did not")
	}
}

// BenchmarkApplyAttributes changes the attributes of one key all over the set.
func BenchmarkApplyAttributes(b *testing.B) {
	atEachSize(b, func(b *testing.B, set *Set) {
		index := NewIndex(set)
		for i := range b.N {
			kid := kidOf(seedOf(uint64(i % min(set.Len(), 8192))))
			c := jwks.Change{Version: uint64(i) + 1, Unsigned: jwks.Unsigned{Set: []jwks.KeyAttributes{{KID: kid, Attributes: planned(1 + i%3)}}}}
			if err := index.Apply(c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
