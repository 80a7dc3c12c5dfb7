package publish

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// model is the reference for a Set: a map of keys.
type model map[jwks.KID]jwks.Key

func modelOf(keys []jwks.Key) model {
	m := make(model, len(keys))
	for _, key := range keys {
		m[key.KID()] = key
	}
	return m
}

func (m model) sorted() []jwks.Key {
	keys := make([]jwks.Key, 0, len(m))
	for _, key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b jwks.Key) int { return compareKeys(&a, &b) })
	return keys
}

// text renders the model the plain way, as the reference for the Set's bytes.
func (m model) text() []byte {
	var jwks [][]byte
	for _, key := range m.sorted() {
		jwks = append(jwks, key.AppendJWK(nil))
	}
	return slices.Concat([]byte(setHead), bytes.Join(jwks, []byte(",")), []byte(setTail))
}

// check compares all parts of a Set with the model.
func (m model) check(tb testing.TB, set *Set) {
	tb.Helper()
	if set.Len() != len(m) {
		tb.Fatalf("Len = %d, want %d", set.Len(), len(m))
	}
	for kid, want := range m {
		if got, ok := set.Lookup(kid); !ok || got != want {
			tb.Fatalf("Lookup(%s) = %s, %v", kid, got.KID(), ok)
		}
	}
	if got := plainBytes(tb, set); !bytes.Equal(got, m.text()) {
		tb.Fatalf("%d bytes are not those of the %d keys", len(got), len(m))
	}
	checkShape(tb, set.root, 0, nil)
}

// checkShape checks that a node is a leaf if and only if its keys fit into a leaf. The shape of the trie,
// and thus the gzip form, then depends only on the keys.
func checkShape(tb testing.TB, n *node, depth int, path []int) {
	tb.Helper()
	if (n.kids == nil) != (n.count <= leafMax) {
		tb.Fatalf("a node of %d keys at %v is a leaf: %v", n.count, path, n.kids == nil)
	}
	if n.kids == nil {
		if len(n.keys) != n.count {
			tb.Fatalf("a leaf of %d keys has %d", n.count, len(n.keys))
		}
		return
	}
	sum := 0
	for i, child := range n.kids {
		sum += child.count
		checkShape(tb, child, depth+1, append(path, i))
	}
	if sum != n.count {
		tb.Fatalf("a node counts %d keys, its children %d", n.count, sum)
	}
}

func checkGzip(tb testing.TB, set *Set) {
	tb.Helper()
	if err := gzipError(set); err != nil {
		tb.Fatal(err)
	}
}

// gzipError decodes the gzip form and compares it with the plain form.
func gzipError(set *Set) error {
	var plain, packed, again bytes.Buffer
	_, err := set.WriteTo(&plain)
	if err = errors.Join(err, set.WriteGzip(&packed), set.WriteGzip(&again)); err != nil {
		return err
	}
	if !bytes.Equal(packed.Bytes(), again.Bytes()) {
		return errors.New("gzip has other bytes the second time")
	}
	reader, err := gzip.NewReader(&packed) // which is an io.ByteReader, so gzip takes no more than it needs
	if err != nil {
		return err
	}
	reader.Multistream(false)
	got, err := io.ReadAll(reader) // verifies the checksum and the length
	if err != nil {
		return err
	}
	if packed.Len() > 0 {
		return fmt.Errorf("%d bytes are left after the gzip member", packed.Len())
	}
	if !bytes.Equal(got, plain.Bytes()) {
		return fmt.Errorf("gzip holds other bytes (%d) than the plain form (%d)", len(got), plain.Len())
	}
	return nil
}

// sizes are numbers of keys around each limit at which the trie's shape or the rendered form changes.
var sizes = []int{0, 1, 2, 63, 64, 65, 66, 127, 128, 129, 130, 255, 256, 257, 511, 513, 1023, 1024, 1025}

func TestSetOfEverySize(t *testing.T) {
	all := testKeys(t, 10, slices.Max(sizes))
	random := newRand(11)
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, size := range sizes {
		keys := all[:size]
		m := modelOf(keys)
		unsorted, sorted := buildSet(t, 7, keys...), buildSet(t, 7, m.sorted()...)
		for _, set := range []*Set{unsorted, sorted} {
			m.check(t, set)
			checkGzip(t, set)
			if set.Version() != 7 {
				t.Errorf("Version = %d, want 7", set.Version())
			}
			for _, kid := range []jwks.KID{{}, kidOf(testKey(t, random))} {
				if _, ok := set.Lookup(kid); ok {
					t.Errorf("%d keys: Lookup finds the missing key %s", size, kid)
				}
			}
		}
		parsed, err := jwks.ParseSet(plainBytes(t, sorted))
		if err != nil || !slices.Equal(parsed, m.sorted()) {
			t.Errorf("%d keys: ParseSet reads %d keys, %v", size, len(parsed), err)
		}
	}
}

// Neither the plain form nor the gzip form reveals the history of the set.
func TestBytesDoNotDependOnHistory(t *testing.T) {
	all := testKeys(t, 12, 1200)
	for _, size := range []int{0, 1, 64, 65, 128, 129, 300} {
		keys := all[:size]
		want := buildSet(t, 1, keys...)
		single := buildSet(t, 0)
		for i := range keys {
			single = apply(t, single, keys[size-1-i:size-i])
		}
		shrunk := buildSet(t, 0, all...)
		for _, key := range all[size:] {
			shrunk = apply(t, shrunk, nil, key.KID())
		}
		atOnce := apply(t, buildSet(t, 0, all[size:]...), keys, kids(all[size:])...)
		for name, set := range map[string]*Set{"one by one": single, "shrunk": shrunk, "in one change": atOnce} {
			modelOf(keys).check(t, set)
			if !bytes.Equal(gzipBytes(t, set), gzipBytes(t, want)) {
				t.Errorf("%d keys %s: other gzip bytes than built at once", size, name)
			}
			if set.Fingerprint() != want.Fingerprint() {
				t.Errorf("%d keys %s: another fingerprint than built at once", size, name)
			}
			if more := apply(t, set, all[size:size+1]); more.Fingerprint() == want.Fingerprint() {
				t.Errorf("%d keys %s: one more has the same fingerprint", size, name)
			}
		}
	}
}

func kids(keys []jwks.Key) []jwks.KID {
	list := make([]jwks.KID, len(keys))
	for i, key := range keys {
		list[i] = key.KID()
	}
	return list
}

func TestApplyErrors(t *testing.T) {
	keys := testKeys(t, 13, 500)
	in, out := keys[:200], keys[200:]
	many := slices.Repeat(out[:1], 300) // more equal keys than a leaf holds
	for _, test := range []struct {
		name   string
		change jwks.Change
		want   error
	}{
		{"same version", jwks.Change{Version: 5}, jwks.ErrVersionGap},
		{"version left out", jwks.Change{Version: 7}, jwks.ErrVersionGap},
		{"version 0", jwks.Change{}, jwks.ErrVersionGap},
		{"published", jwks.Change{Version: 6, Add: in[:1]}, jwks.ErrPublished},
		{"published, among new ones", jwks.Change{Version: 6, Add: slices.Concat(out, in[100:101])}, jwks.ErrPublished},
		{"twice in one change", jwks.Change{Version: 6, Add: []jwks.Key{out[0], out[1], out[0]}}, jwks.ErrPublished},
		{"300 times in one change", jwks.Change{Version: 6, Add: many}, jwks.ErrPublished},
		{"unknown", jwks.Change{Version: 6, Remove: kids(out[:1])}, jwks.ErrNotPublished},
		{"unknown after a known", jwks.Change{Version: 6, Remove: kids([]jwks.Key{in[0], out[0]})}, jwks.ErrNotPublished},
		{"removed twice", jwks.Change{Version: 6, Remove: kids([]jwks.Key{in[0], in[0]})}, jwks.ErrNotPublished},
		{"removed before it is added", jwks.Change{Version: 6, Add: out[:1], Remove: kids(out[:1])}, jwks.ErrNotPublished},
		{"good removal, bad addition", jwks.Change{Version: 6, Remove: kids(in[:3]), Add: in[5:6]}, jwks.ErrPublished},
	} {
		set := buildSet(t, 5, in...)
		index := NewIndex(set)
		if err := index.Apply(test.change); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		if index.Set() != set || index.Set().Version() != 5 {
			t.Errorf("%s: the Index shows another set", test.name)
		}
		modelOf(in).check(t, set)
	}
	// Apply removes keys before it adds others: one change can remove a key and add it again.
	set := apply(t, buildSet(t, 5, in...), in[:1], in[0].KID())
	modelOf(in).check(t, set)
}

func TestApplyDoesNotReorderTheChange(t *testing.T) {
	keys := testKeys(t, 14, 10)
	slices.Reverse(keys)
	add := slices.Clone(keys)
	apply(t, buildSet(t, 0), add)
	if !slices.Equal(add, keys) {
		t.Error("Apply has sorted the caller's keys")
	}
}

func TestBuilderRefusesDuplicates(t *testing.T) {
	keys := testKeys(t, 15, 2000)
	for name, list := range map[string][]jwks.Key{
		"side by side":         {keys[0], keys[0]},
		"in different batches": append(slices.Clone(keys), keys[0]),
		"all the same":         slices.Repeat(keys[:1], 3*buildBatch),
	} {
		var b Builder
		var err error
		for _, key := range list {
			if err = b.Add(key, jwks.Attributes{}); err != nil {
				break
			}
		}
		if err == nil {
			_, err = b.Set(1)
		}
		if !errors.Is(err, jwks.ErrPublished) {
			t.Errorf("%s: error %v, want ErrPublished", name, err)
		}
	}
}

// A Builder can add keys after it has built a Set, which does not change.
func TestBuilderGoesOn(t *testing.T) {
	keys := testKeys(t, 16, 150)
	var b Builder
	sets := make([]*Set, len(keys))
	for i, key := range keys {
		if err := b.Add(key, jwks.Attributes{}); err != nil {
			t.Fatal(err)
		}
		var err error
		if sets[i], err = b.Set(uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, set := range sets {
		modelOf(keys[:i+1]).check(t, set)
	}
}

func TestReplace(t *testing.T) {
	older, shown, same, newer := buildSet(t, 4), buildSet(t, 5), buildSet(t, 5), buildSet(t, 9)
	index := NewIndex(shown)
	for _, step := range []struct {
		name      string
		set, want *Set
	}{{"older", older, shown}, {"same version", same, same}, {"newer", newer, newer}, {"older again", shown, newer}} {
		if index.Replace(step.set); index.Set() != step.want {
			t.Errorf("%s: the Index shows version %d", step.name, index.Set().Version())
		}
	}
}

// failing is a writer that fails after `left` bytes.
type failing struct{ left int }

var errWrite = errors.New("the reader has gone")

func (f *failing) Write(b []byte) (int, error) {
	if f.left < len(b) {
		return f.left, errWrite
	}
	f.left -= len(b)
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	for _, count := range []int{0, 1, 300} {
		set := buildSet(t, 1, testKeys(t, 17, count)...)
		plain, packed := int(set.Size()), len(gzipBytes(t, set))
		for _, left := range []int{0, 5, plain / 2, plain - 1} {
			if n, err := set.WriteTo(&failing{left}); !errors.Is(err, errWrite) || n != int64(left) {
				t.Errorf("%d keys: WriteTo over %d bytes = %d, %v", count, left, n, err)
			}
		}
		for _, left := range []int{0, 5, packed / 2, packed - 1} {
			if err := set.WriteGzip(&failing{left}); !errors.Is(err, errWrite) {
				t.Errorf("%d keys: WriteGzip over %d bytes: %v", count, left, err)
			}
		}
	}
}
