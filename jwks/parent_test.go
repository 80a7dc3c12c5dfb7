package jwks

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// exchanged returns a token that otherPair signed for ownPair's key.
func exchanged() string {
	return otherPair().tokenAs(TypeAccessToken, withParent(ownPair().key.kid, false))
}

// parented returns a Verifier whose Table has the signer and the parent with attributes, and its Table.
func parented(tb testing.TB, a Attributes) (*Verifier, *Table) {
	tb.Helper()
	v, table := tableVerifier(tb, otherPair().key)
	setAttributes(tb, table, ownPair().key.kid, a)
	return v, table
}

func TestParentIsPublished(t *testing.T) {
	parent := ownPair().key
	v, table := tableVerifier(t, otherPair().key)
	only := testVerifier(otherPair().key) // has no Table
	published := true
	only.Keys = KeyFunc(func(kid KID) (Key, bool) {
		key, ok := table.Lookup(kid)
		return key, ok && (published || kid != parent.kid)
	})
	check := func(when string, want error) {
		t.Helper()
		for _, v := range []*Verifier{v, v, only} {
			claims, err := v.Verify(exchanged())
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", when, err, want)
			}
			if err == nil && (claims.RecordID() != claims.KeyID || claims.KeyKID != parent.kid || claims.Subject != "cust_1") {
				t.Errorf("%s: %+v", when, claims)
			}
			if _, err := v.Authentic(exchanged()); !errors.Is(want, ErrExpired) && !errors.Is(err, want) {
				t.Errorf("%s: authentic: %v, want %v", when, err, want)
			}
		}
	}
	check("published", nil)
	published = false
	applyNext(t, table, Change{Remove: []KID{parent.kid}})
	check("revoked", ErrUnknown)
	v.Now = func() time.Time { return time.Unix(testExpiry, 0) }
	only.Now = v.Now
	check("revoked and expired", ErrExpired)
	published = true
	applyNext(t, table, Change{Add: []Key{parent}})
	check("resumed and expired", ErrExpired)
	v.Now, only.Now = testVerifier().Now, testVerifier().Now
	check("resumed", nil)
	applyNext(t, table, Change{Remove: []KID{otherPair().key.kid}})
	check("the signer has left", ErrUnknown)
}

func applyNext(t *testing.T, table *Table, c Change) {
	t.Helper()
	c.Version = table.Version() + 1
	if err := table.Apply(c); err != nil {
		t.Fatal(err)
	}
}

// A parent in another workspace's set is unknown.
func TestParentOfAnotherSet(t *testing.T) {
	v := testVerifier()
	if _, err := v.Verify(ownPair().tokenAs(TypeAccessToken, withParent(otherPair().key.kid, false))); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v, want ErrUnknown", err)
	}
}

// Only a feed has imported keys: there, the parent is checked. Other sets can't know it.
func TestImportedParent(t *testing.T) {
	v, table := tableVerifier(t)
	key := importedKey(1, Attributes{NeverExpires: true, Scopes: []string{"maps:read"}})
	token := ownPair().tokenAs(TypeAccessToken, reword(t, withParent(key.KID(), true), "maps:read", "maps:read maps:write"))
	check := func(when, scope string, want error) {
		t.Helper()
		for range 2 {
			claims, err := v.Verify(token)
			if !errors.Is(err, want) || err == nil && (!claims.KeyImported || claims.Scope != scope || claims.Expiry != testExpiry) {
				t.Errorf("%s: %+v, %v, want %v", when, claims, err, want)
			}
		}
	}
	check("without a feed", "maps:read maps:write", nil)
	applyNext(t, table, Change{Unsigned: Unsigned{Settings: &Settings{}}})
	check("before the import", "", ErrUnknown)
	applyNext(t, table, Change{Unsigned: Unsigned{Imported: []ImportedKey{key}}})
	check("imported", "maps:read", nil)
	key.Attributes.ExpiresAt = time.Unix(testIssued, 0)
	applyNext(t, table, Change{Unsigned: Unsigned{Imported: []ImportedKey{key}}})
	check("at its end", "", ErrExpired)
	applyNext(t, table, Change{Unsigned: Unsigned{Dropped: []KID{key.KID()}}})
	check("revoked", "", ErrUnknown)
}

// A token is good only for what both the token and the attributes of its parent allow.
func TestParentOnlyNarrows(t *testing.T) {
	random := rand.New(rand.NewPCG(17, 0))
	v, table := parented(t, Attributes{})
	var now int64
	v.Now = func() time.Time { return time.Unix(now, 0) }
	accepted := map[bool]int{}
	for range 3000 {
		a, exp, own := anyAttributes(random), testIssued+1+random.Int64N(100), anyScopes(random)
		payload := reword(t, withParent(ownPair().key.kid, false), `"exp":1700003600`, `"exp":`+strconv.FormatInt(exp, 10))
		payload = reword(t, payload, `"scope":"maps:read"`, `"scope":"`+strings.Join(own, " ")+`"`)
		setAttributes(t, table, ownPair().key.kid, a)
		now = testIssued + random.Int64N(100)
		from := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(4))})
		may := now < exp && a.Allows(from)
		for _, end := range []time.Time{a.ExpiresAt.Truncate(time.Second), a.EndsAt} { // exp is in whole seconds
			may = may && (end.IsZero() || v.Now().Before(end))
		}
		claims, err := v.VerifyFrom(otherPair().tokenAs(TypeAccessToken, payload), from)
		accepted[err == nil]++
		if (err == nil) != may {
			t.Fatalf("at %d from %s: %v, exp %d, attributes %+v", now, from, err, exp, a)
		}
		if err != nil {
			continue
		}
		want := slices.DeleteFunc(own, func(s string) bool { return a.Scopes != nil && !slices.Contains(a.Scopes, s) })
		if !slices.Equal(claims.Scopes(), want) {
			t.Fatalf("scopes %q, want %q by %+v", claims.Scope, want, a)
		}
		end := claims.ExpiresAt()
		if end.Unix() > exp || end.IsZero() || !a.ExpiresAt.IsZero() && end.After(a.ExpiresAt) || claims.Expiry > exp || claims.Expiry == 0 {
			t.Fatalf("ends at %s, exp %d of %d by %+v", end, claims.Expiry, exp, a)
		}
	}
	if accepted[true] < 100 || accepted[false] < 100 {
		t.Errorf("%d accepted, %d refused: this shows little", accepted[true], accepted[false])
	}
}

func anyScopes(random *rand.Rand) []string {
	scopes := []string{"a", "b", "aa", "c"}
	random.Shuffle(len(scopes), func(i, j int) { scopes[i], scopes[j] = scopes[j], scopes[i] })
	return scopes[:random.IntN(len(scopes)+1)]
}

func anyAttributes(random *rand.Rand) Attributes {
	a := Attributes{NeverExpires: random.IntN(4) == 0}
	if random.IntN(2) == 0 {
		a.Scopes = anyScopes(random)
	}
	for _, at := range []*time.Time{&a.ExpiresAt, &a.EndsAt} {
		if random.IntN(3) == 0 {
			*at = time.UnixMilli(testIssued*1000 + random.Int64N(150_000)).UTC()
		}
	}
	if random.IntN(3) == 0 {
		a.AllowedIPs = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(4))}), 31+random.IntN(2)).Masked()}
	}
	return a
}

// A parent with an end before 1970 does not make a token that never expires.
func TestParentThatEndedEarly(t *testing.T) {
	v, table := parented(t, Attributes{})
	for _, end := range []time.Time{time.Unix(0, 0), time.Unix(0, 5), time.Unix(-5, 0)} {
		setAttributes(t, table, ownPair().key.kid, Attributes{ExpiresAt: end})
		if _, err := v.Verify(exchanged()); !errors.Is(err, ErrExpired) {
			t.Errorf("%s: %v, want ErrExpired", end, err)
		}
	}
}

// Tokens of the exchange have no prefix, at any time.
func TestPrefixOfTheExchange(t *testing.T) {
	v, table := parented(t, Attributes{})
	check := func(prefix string, want error) {
		t.Helper()
		if _, err := v.Verify(prefix + exchanged()); !errors.Is(err, want) {
			t.Errorf("with the prefix %q: %v, want %v", prefix, err, want)
		}
	}
	check("", nil)
	check("acme-", nil) // the settings are unknown
	applyNext(t, table, Change{Unsigned: Unsigned{Settings: &Settings{TokenPrefix: "acme-"}}})
	check("", nil)
	check("acme-", ErrPrefix)
	if _, err := v.Verify(ownPair().tokenAs(TypeAccessToken, accessPayload)); !errors.Is(err, ErrPrefix) {
		t.Errorf("a key without its prefix: %v, want ErrPrefix", err)
	}
}

// The attributes of a signer's kid are not those of its tokens.
func TestSignerHasNoAttributes(t *testing.T) {
	v, table := parented(t, Attributes{Scopes: []string{"maps:read"}})
	setAttributes(t, table, otherPair().key.kid, Attributes{Scopes: []string{"admin"}, NeverExpires: true, Plan: "free"})
	for range 2 {
		claims, err := v.Verify(exchanged())
		if err != nil || claims.Scope != "maps:read" || claims.Expiry != testExpiry || claims.Attributes.Plan != "" {
			t.Errorf("%+v, %v", claims, err)
		}
	}
}

// A signer's tokens are each verified once. A token that only looks like one of them is not accepted.
func TestExchangedIsVerifiedOnce(t *testing.T) {
	v, table := parented(t, typical)
	client := netip.MustParseAddr("192.0.2.9")
	payload := reword(t, withParent(ownPair().key.kid, false), `,"plan":"gold"`, "")
	first := otherPair().tokenAs(TypeAccessToken, payload)
	second := otherPair().tokenAs(TypeAccessToken, reword(t, payload, "cust_1", "cust_2"))
	custom, third := exchanged(), otherPair().tokenAs(TypeAccessToken, reword(t, payload, "cust_1", "cust_3"))
	for _, token := range []string{first, second, custom} {
		if _, err := v.VerifyFrom(token, client); err != nil {
			t.Fatal(err)
		}
	}
	if markOf(table, otherPair().key.kid) != (digest{}) {
		t.Error("a token of the exchange is remembered as the token of a key")
	}
	spoil(t, table, otherPair().key.kid)
	claims := new(Claims)
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"first": {first, nil}, "second": {second, nil}, "with custom claims": {custom, nil}, "new": {third, ErrSignature},
		"another signature": {withSignature(first, make([]byte, ModulusLen)), ErrSignature},
		"first as a key":    {otherPair().token(payload), ErrSignature},
	} {
		if err := v.VerifyFromInto(test.token, client, claims); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	got := testing.AllocsPerRun(100, func() { _ = v.VerifyFromInto(first, client, claims) })
	if got > 3 {
		t.Errorf("%v allocations", got)
	}
}

// Any number of goroutines can verify tokens of more places than there are, while the set changes.
func TestRecentIsSafe(t *testing.T) {
	var r recent
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			random := newRand(uint64(i % 2))
			for range 3 * recentPlaces {
				var d digest
				for j := range d {
					d[j] = byte(random.Uint32())
				}
				r.add(d)
			}
		})
	}
	all.Wait()
	kept := 0
	for i := range r.places.Load() {
		if d := r.places.Load()[i].Load(); d != nil && r.has(d) && recentPlace(d) == uint32(i) {
			kept++
		}
	}
	if kept < recentPlaces/2 || r.has(new(digest)) {
		t.Errorf("%d are kept", kept)
	}
}

// The end of a token of the exchange, which is soon, is not announced as the end of its key.
func TestLifecycleOfTheParent(t *testing.T) {
	now := time.Unix(testIssued, 0).UTC()
	v, table := parented(t, Attributes{})
	for name, test := range map[string]struct {
		attributes Attributes
		want       Lifecycle
	}{
		"nothing known": {Attributes{}, Lifecycle{Status: KeyActive}},
		"later":         {Attributes{ExpiresAt: now.Add(31 * 24 * time.Hour)}, Lifecycle{Status: KeyActive}},
		"soon": {
			Attributes{ExpiresAt: now.Add(48 * time.Hour)},
			Lifecycle{KeyExpiring, now.Add(48*time.Hour - DefaultExpiryNotice), now.Add(48 * time.Hour)},
		},
		"rotated": {
			Attributes{RotatedAt: now.Add(-time.Hour), EndsAt: now.Add(time.Hour)},
			Lifecycle{KeyRotated, now.Add(-time.Hour), now.Add(time.Hour)},
		},
	} {
		setAttributes(t, table, ownPair().key.kid, test.attributes)
		claims, err := v.Verify(exchanged())
		if err != nil {
			t.Fatal(err)
		}
		if got := claims.Lifecycle(now, DefaultExpiryNotice); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
