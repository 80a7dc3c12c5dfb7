package publish

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// program applies random changes to an Index and to the model in parallel.
type program struct {
	tb      testing.TB
	random  *rand.Rand
	index   *Index
	model   model
	present []jwks.KID // in no order, to choose from
	spare   []jwks.Key // keys that are not published
}

func (p *program) take() jwks.Key {
	if len(p.spare) == 0 {
		return testKey(p.tb, p.random)
	}
	i := p.random.IntN(len(p.spare))
	key := p.spare[i]
	p.spare = slices.Delete(p.spare, i, i+1)
	return key
}

// step tries invalid changes, which must fail, and then applies one random change.
func (p *program) step(adds, removes int) {
	p.tb.Helper()
	before := p.index.Set()
	change := jwks.Change{Version: before.Version() + 1}
	for range min(removes, len(p.present)) {
		i := p.random.IntN(len(p.present))
		kid := p.present[i]
		p.present[i] = p.present[len(p.present)-1]
		p.present = p.present[:len(p.present)-1]
		change.Remove = append(change.Remove, kid)
		p.spare = append(p.spare, p.model[kid])
		delete(p.model, kid)
	}
	for range adds {
		key := p.take()
		change.Add = append(change.Add, key)
		p.present = append(p.present, key.KID())
		p.model[key.KID()] = key
	}
	p.refused(before)
	if err := p.index.Apply(change); err != nil {
		p.tb.Fatalf("version %d, %d added, %d removed: %v", change.Version, len(change.Add), len(change.Remove), err)
	}
	for _, kid := range change.Remove {
		if _, want := p.model[kid]; want {
			continue // removed and added again
		}
		if _, ok := p.index.Lookup(kid); ok {
			p.tb.Fatalf("version %d: %s is still there", change.Version, kid)
		}
	}
	for _, key := range change.Add {
		if got, ok := p.index.Lookup(key.KID()); !ok || got != key {
			p.tb.Fatalf("version %d: %s is not there", change.Version, key.KID())
		}
	}
}

// refused checks that invalid changes fail and do not change the set.
func (p *program) refused(before *Set) {
	p.tb.Helper()
	unknown := testKey(p.tb, p.random)
	next := before.Version() + 1
	bad := []jwks.Change{{Version: next + 1}, {Version: next, Remove: []jwks.KID{unknown.KID()}}}
	for kid := range before.some() {
		key, _ := before.Lookup(kid)
		bad = append(bad, jwks.Change{Version: next, Add: []jwks.Key{unknown, key}})
	}
	for _, change := range bad {
		if err := p.index.Apply(change); err == nil || p.index.Set() != before {
			p.tb.Fatalf("a bad change of version %d: %v", change.Version, err)
		}
	}
}

// some yields one kid of the set, if it has any.
func (s *Set) some() func(func(jwks.KID) bool) {
	return func(yield func(jwks.KID) bool) {
		for leaf := range s.root.leaves {
			yield(leaf.keys[leaf.count/2].KID())
			return
		}
	}
}

// kept is an older version that a reader can still use, and the keys that it must have.
type kept struct {
	set  *Set
	keys model
}

func TestRandomPrograms(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runProgram(t, seed, 1200) })
	}
}

func runProgram(t *testing.T, seed uint64, steps int) {
	p := &program{tb: t, random: newRand(seed), index: NewIndex(buildSet(t, 0)), model: model{}}
	var versions []kept
	growing := true
	for i := range steps {
		// Grow and shrink the set across the sizes at which leaves split and merge.
		if n := len(p.model); n > 700 {
			growing = false
		} else if n < 20 {
			growing = true
		}
		adds, removes := p.random.IntN(3), p.random.IntN(3)
		switch {
		case p.random.IntN(40) == 0:
			adds = p.random.IntN(300)
		case p.random.IntN(40) == 0:
			removes = p.random.IntN(300)
		case growing:
			adds += 2
		default:
			removes += 2
		}
		p.step(adds, removes)
		if i%100 == 0 {
			p.model.check(t, p.index.Set())
			versions = append(versions, kept{p.index.Set(), maps.Clone(p.model)})
		}
		if i%150 == 75 { // other keys altogether, as after a reset
			keys := testKeys(t, seed<<32|uint64(i), p.random.IntN(400))
			p.index.Replace(buildSet(t, p.index.Set().Version(), keys...))
			p.model, p.present = modelOf(keys), kids(keys)
		}
	}
	for _, v := range versions {
		v.keys.check(t, v.set)
		checkGzip(t, v.set)
	}
}

// alike makes keys whose kids have the same leading bits, unlike hashes.
func alike(tb testing.TB, count, bits int) []jwks.Key {
	tb.Helper()
	random := newRand(uint64(bits))
	seen := make(model, count)
	for len(seen) < count {
		key := testKey(tb, random)
		kid := key.KID()
		for bit := range bits {
			kid[bit/8] |= 0x80 >> (bit % 8)
		}
		seen[kid] = forged(kid, [jwks.ModulusLen]byte(key.Modulus()))
	}
	return seen.sorted()
}

// The plain form of a large set is not cached, but is the same each time it is rendered.
func TestLeafTextIsTheSameKeptOrNot(t *testing.T) {
	set := buildSet(t, 1, testKeys(t, 28, 300)...)
	buf := make([]byte, 0, 10)
	for leaf := range set.root.leaves {
		kept, passing := leaf.leafText(true, nil), leaf.leafText(false, buf)
		if !bytes.Equal(kept, passing) || len(kept) != leaf.count*entryLen {
			t.Errorf("%d keys: %d bytes, or %d", leaf.count, len(kept), len(passing))
		}
		if again := leaf.leafText(true, nil); &again[0] != &kept[0] {
			t.Error("it was rendered twice")
		}
	}
}

func TestKidsAlike(t *testing.T) {
	for _, test := range []struct{ count, bits int }{
		{300, 8}, {300, 100}, {300, 199}, {300, 200}, {300, 201}, {300, 246}, {129, 248}, {256, 248}, {129, 247},
	} {
		keys := alike(t, test.count, test.bits)
		built := buildSet(t, 1, keys...)
		modelOf(keys).check(t, built)
		checkGzip(t, built)
		single := buildSet(t, 0)
		for _, i := range newRand(3).Perm(len(keys)) {
			single = apply(t, single, keys[i:i+1])
		}
		modelOf(keys).check(t, single)
		for _, key := range keys { // a known kid at each place and depth
			if _, err := single.Apply(jwks.Change{Version: single.Version() + 1, Add: []jwks.Key{key}}); !errors.Is(err, jwks.ErrPublished) {
				t.Fatalf("%v: adding a published key: %v", test, err)
			}
		}
		if _, ok := single.Lookup(jwks.KID{}); ok {
			t.Errorf("%v: the zero kid is there", test)
		}
		for i, key := range keys {
			single = apply(t, single, nil, key.KID())
			if i%50 == 0 {
				modelOf(keys[i+1:]).check(t, single)
			}
		}
		modelOf(nil).check(t, single)
	}
}

// One writer and all kinds of readers run concurrently: the race detector finds shared writes, and the
// readers find incomplete sets.
func TestReadersBesideAWriter(t *testing.T) {
	keys := testKeys(t, 20, 400)
	stable, moving := keys[:200], keys[200:]
	index := NewIndex(buildSet(t, 0, stable...))
	done := make(chan struct{})
	var readers sync.WaitGroup
	read := func(look func(*Set)) {
		readers.Go(func() {
			for last := uint64(0); ; {
				set := index.Set()
				if set.Version() < last {
					t.Errorf("version %d after %d", set.Version(), last)
				}
				last = set.Version()
				look(set)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 2 {
		read(func(set *Set) {
			var buf bytes.Buffer
			if n, err := set.WriteTo(&buf); err != nil || n != set.Size() || !bytes.HasSuffix(buf.Bytes(), []byte(setTail)) {
				t.Errorf("version %d: %d bytes of %d, %v", set.Version(), n, set.Size(), err)
			}
		})
		read(func(set *Set) {
			if err := gzipError(set); err != nil {
				t.Errorf("version %d: %v", set.Version(), err)
			}
		})
		read(func(set *Set) {
			for _, key := range stable {
				if got, ok := set.Lookup(key.KID()); !ok || got != key {
					t.Errorf("version %d: a key is missing", set.Version())
				}
			}
		})
	}
	for round := range 3 {
		for i := range moving {
			change := jwks.Change{Version: index.Set().Version() + 1, Add: moving[i : i+1]}
			if round%2 == 1 {
				change.Add, change.Remove = nil, kids(moving[i:i+1])
			}
			if err := index.Apply(change); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	readers.Wait()
	modelOf(keys).check(t, index.Set())
}

// If several writers apply the same version, exactly one succeeds.
func TestWritersForOneVersion(t *testing.T) {
	keys := testKeys(t, 21, 200)
	index := NewIndex(buildSet(t, 0))
	var writers sync.WaitGroup
	won := make([]int, 4)
	for w := range won {
		writers.Go(func() {
			for i := range keys {
				switch err := index.Apply(jwks.Change{Version: uint64(i) + 1, Add: keys[i : i+1]}); {
				case err == nil:
					won[w]++
				case !errors.Is(err, jwks.ErrVersionGap):
					t.Error(err)
				}
				for index.Set().Version() < uint64(i)+1 { // never: the first Apply has returned
					t.Error("a version was lost")
				}
			}
		})
	}
	writers.Wait()
	if sum := won[0] + won[1] + won[2] + won[3]; sum != len(keys) {
		t.Errorf("%d changes were taken, want %d", sum, len(keys))
	}
	modelOf(keys).check(t, index.Set())
}
