package jwks

import (
	"bytes"
	"maps"
	"slices"
	"testing"
)

// model is the reference for a Table: a map of keys.
type model map[KID]Key

func modelOf(keys []Key) model {
	m := make(model, len(keys))
	for _, key := range keys {
		m[key.kid] = key
	}
	return m
}

func (m model) sorted() []Key {
	keys := make([]Key, 0, len(m))
	for _, key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b Key) int { return bytes.Compare(a.kid[:], b.kid[:]) })
	return keys
}

func kids(keys []Key) []KID {
	list := make([]KID, len(keys))
	for i, key := range keys {
		list[i] = key.kid
	}
	return list
}

// alike makes keys whose kids have the same leading bits, unlike hashes.
func alike(tb testing.TB, count, bits int) []Key {
	tb.Helper()
	random := newRand(uint64(bits))
	seen := make(model, count)
	for len(seen) < count {
		key := testKey(tb, random)
		for bit := range bits {
			key.kid[bit/8] |= 0x80 >> (bit % 8)
		}
		seen[key.kid] = key
	}
	return seen.sorted()
}

// testSet is a simple implementation of one version of a published set.
type testSet struct {
	version uint64
	keys    model
}

func buildSet(tb testing.TB, version uint64, keys ...Key) *testSet {
	tb.Helper()
	m := modelOf(keys)
	if len(m) != len(keys) {
		tb.Fatal("a key comes twice")
	}
	return &testSet{version, m}
}

func (s *testSet) Len() int { return len(s.keys) }

func (s *testSet) Lookup(kid KID) (Key, bool) {
	key, ok := s.keys[kid]
	return key, ok
}

func (s *testSet) Fingerprint() (print Fingerprint) {
	for kid := range s.keys {
		print.Toggle(&kid)
	}
	return print
}

// Apply returns the set after a change, or an error if the change can't be applied.
func (s *testSet) Apply(c Change) (*testSet, error) {
	if c.Version != s.version+1 {
		return nil, ErrVersionGap
	}
	next := &testSet{c.Version, maps.Clone(s.keys)}
	for _, kid := range c.Remove {
		if _, ok := next.keys[kid]; !ok {
			return nil, ErrNotPublished
		}
		delete(next.keys, kid)
	}
	for _, key := range c.Add {
		if _, ok := next.keys[key.kid]; ok {
			return nil, ErrPublished
		}
		next.keys[key.kid] = key
	}
	return next, nil
}

// plainBytes returns the JSON form of a set.
func plainBytes(_ testing.TB, set *testSet) []byte {
	var jwks [][]byte
	for _, key := range set.keys.sorted() {
		jwks = append(jwks, key.AppendJWK(nil))
	}
	return slices.Concat([]byte(`{"keys":[`), bytes.Join(jwks, []byte(",")), []byte(`]}`))
}
