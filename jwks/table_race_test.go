package jwks

import (
	"strconv"
	"sync"
	"testing"
)

// A token is judged by the attributes of the version that published its key. Each version replaces one key by
// another, and each key's plan is the version: of ownPair's key even, of otherPair's odd. A third key stays, and
// its plan changes. Every fortieth version comes as a whole set.
func TestVerifyByAttributesOfOneVersion(t *testing.T) {
	others := testKeys(t, 320, 2*installPiece)
	stays, pairs := newPair(), []pair{ownPair(), otherPair()}
	plan := func(key Key, version uint64) KeyAttributes {
		return KeyAttributes{key.kid, Attributes{Plan: strconv.FormatUint(version, 10)}}
	}
	table := tableOf(t, 1, append(others, stays.key, pairs[1].key)...)
	v := testVerifier()
	v.Keys = table
	next := func(version uint64) Change {
		c := Change{Version: version, Remove: []KID{pairs[(version-1)%2].key.kid}, Add: []Key{pairs[version%2].key}}
		c.Unsigned.Set = []KeyAttributes{plan(stays.key, version), plan(pairs[version%2].key, version)}
		return c
	}
	if err := table.Apply(next(2)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i, p := range append(pairs, stays) {
		token := p.token(testPayload)
		readers.Go(func() {
			var claims Claims
			for accepted := 0; ; {
				select {
				case <-done:
					if accepted == 0 {
						t.Errorf("key %d was never accepted", i)
					}
					return
				default:
				}
				before := table.Version()
				err := v.VerifyInto(token, &claims)
				after := table.Version()
				if err != nil && i == 2 {
					t.Errorf("a key that stays: %v", err)
				}
				if err != nil {
					continue
				}
				accepted++
				got, _ := strconv.ParseUint(claims.Attributes.Plan, 10, 64)
				// A whole set counts for each key as soon as it is read.
				if got < before || got > after+1 || i < 2 && got%2 != uint64(i) {
					t.Errorf("key %d has plan %q between versions %d and %d", i, claims.Attributes.Plan, before, after)
				}
			}
		})
	}
	for version := uint64(3); version < 1000; version++ {
		c := next(version)
		if version%40 != 0 {
			if err := table.Apply(c); err != nil {
				t.Fatal(err)
			}
			continue
		}
		set := table.refresh()
		for _, key := range append(others, stays.key, c.Add[0]) {
			if err := set.Add(key); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range c.Unsigned.Set {
			if err := set.Set(a); err != nil {
				t.Fatal(err)
			}
		}
		if err := set.install(version, nil); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	readers.Wait()
}
