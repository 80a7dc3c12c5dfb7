package jwks

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// feedModel is the reference for a Table with attributes.
type feedModel struct {
	version    uint64
	keys       model
	attributes map[KID]Attributes
	shared     map[subject]LimitSet
	settings   *Settings
	imported   map[KID]ImportedKey
}

func (m *feedModel) clone() *feedModel {
	return &feedModel{m.version, maps.Clone(m.keys), maps.Clone(m.attributes), maps.Clone(m.shared), m.settings, maps.Clone(m.imported)}
}

func (m *feedModel) apply(c Change) {
	m.version = c.Version
	for _, kid := range c.Remove {
		delete(m.keys, kid)
		delete(m.attributes, kid)
	}
	for _, key := range c.Add {
		m.keys[key.kid] = key
	}
	for _, a := range c.Unsigned.Set {
		if delete(m.attributes, a.KID); !a.Attributes.IsZero() {
			m.attributes[a.KID] = a.Attributes
		}
	}
	for _, set := range c.Unsigned.Limits {
		if delete(m.shared, set.subject()); len(set.Limits) > 0 {
			m.shared[set.subject()] = set
		}
	}
	if c.Unsigned.Settings != nil {
		m.settings = c.Unsigned.Settings
	}
	for _, kid := range c.Unsigned.Dropped {
		delete(m.imported, kid)
	}
	for _, k := range c.Unsigned.Imported {
		m.imported[k.KID()] = k
	}
}

func (m *feedModel) fingerprint() (print Fingerprint) {
	for kid := range m.keys {
		print.Toggle(&kid)
	}
	for kid, a := range m.attributes {
		one := (&KeyAttributes{kid, a}).Print()
		print.Toggle((*KID)(&one))
	}
	for _, set := range m.shared {
		one := set.Print()
		print.Toggle((*KID)(&one))
	}
	if m.settings != nil {
		one := m.settings.Print()
		print.Toggle((*KID)(&one))
	}
	for _, k := range m.imported {
		one := k.Print()
		print.Toggle((*KID)(&one))
	}
	return print
}

// add adds what a snapshot yields.
func (m *feedModel) add(key *Key, a *Attributes) error {
	if m.keys[key.kid] = *key; a != nil {
		m.attributes[key.kid] = *a
	}
	return nil
}

func emptyFeed() *feedModel {
	return &feedModel{0, model{}, map[KID]Attributes{}, map[subject]LimitSet{}, nil, map[KID]ImportedKey{}}
}

// begin makes a model of a snapshot without its keys, which add adds.
func (m *feedModel) begin(s *snapshot) {
	*m = *emptyFeed()
	m.version = s.version
	for _, set := range s.rest.Limits {
		m.shared[set.subject()] = set
	}
	m.settings = s.rest.Settings
	for _, k := range s.imports {
		m.imported[k.kid] = k.key()
	}
}

// check compares a Table with the model.
func (m *feedModel) check(tb testing.TB, table *Table) {
	tb.Helper()
	snap, got := table.snapshot(), new(feedModel)
	got.begin(snap)
	_ = snap.each(got.add)
	snap.close()
	if !reflect.DeepEqual(got, m) {
		tb.Fatalf("version %d: %d keys, %v, %v; want version %d: %d keys, %v, %v",
			got.version, len(got.keys), got.attributes, got.shared, m.version, len(m.keys), m.attributes, m.shared)
	}
	if state := table.state(); state.feed != m.fingerprint() || snap.feed != state.feed {
		tb.Fatalf("the fingerprint of the feed is %s, want %s", state.feed, m.fingerprint())
	}
	for kid := range m.keys {
		var a Attributes
		if text, _, ok := table.recall(&kid, nil, new(Key)); !ok {
			tb.Fatal("a key is not found")
		} else if a.readBinary(text); !reflect.DeepEqual(a, m.attributes[kid]) {
			tb.Fatalf("a key has %+v, want %+v", a, m.attributes[kid])
		} else if got, published := table.Attributes(kid); !published || !reflect.DeepEqual(got, a) {
			tb.Fatalf("Attributes returns %+v %v, want %+v", got, published, a)
		}
	}
	if settings, known := table.Settings(); known != (m.settings != nil) || known && settings != *m.settings {
		tb.Fatalf("the settings are %v %v, want %v", settings, known, m.settings)
	}
	for kid, k := range m.imported {
		if got, ok := table.Imported(kid); !ok || !reflect.DeepEqual(got, k) {
			tb.Fatalf("the imported key %+v is %+v", k, got)
		}
	}
	for of, set := range m.shared {
		if got := table.LimitSet(of.on, of.name); !slices.Equal(got, set.Limits) {
			tb.Fatalf("the set %v has %v", of, got)
		}
	}
	if table.LimitSet("plan", "no such") != nil {
		tb.Fatal("a set that does not exist")
	}
	if table.texts != nil && table.texts.Len() != len(m.attributes) {
		tb.Fatalf("%d attributes are stored, want %d", table.texts.Len(), len(m.attributes))
	}
}

// install makes a Table show the model, like a Follower that has fetched it, and returns whether it differed.
func (m *feedModel) install(tb testing.TB, table *Table) bool {
	tb.Helper()
	next := m.refresh(tb, table)
	differs := next.differs()
	if err := next.install(m.version, nil); err != nil {
		tb.Fatal(err)
	}
	return differs
}

func (m *feedModel) refresh(tb testing.TB, table *Table) *refresh {
	tb.Helper()
	next := table.refresh()
	for _, set := range m.shared {
		next.Share(set)
	}
	if m.settings != nil {
		next.Settle(*m.settings)
	}
	for _, key := range m.keys {
		if err := next.Add(key); err != nil {
			tb.Fatal(err)
		}
	}
	for _, key := range m.imported {
		if err := next.Import(key); err != nil {
			tb.Fatal(err)
		}
	}
	for kid, a := range m.attributes {
		if err := next.Set(KeyAttributes{kid, a}); err != nil {
			tb.Fatal(err)
		}
	}
	if got := next.fingerprint(); got != modelPrint(m.keys) {
		tb.Fatalf("the set read has the fingerprint %s", got)
	}
	return next
}

func modelPrint(keys model) Fingerprint { return (&testSet{0, keys}).Fingerprint() }

func randomSets(random *rand.Rand) (sets []LimitSet) {
	for range random.IntN(3) {
		set := LimitSet{On: OnPlan, Name: fmt.Sprint(random.IntN(5))}
		if random.IntN(3) > 0 {
			set.Limits = []Limit{{Name: "a", Requests: 1 + random.Uint32N(9), Seconds: 1}}
		}
		sets = append(sets, set)
	}
	return sets
}

// randomChange returns a change that the model accepts.
func (m *feedModel) randomChange(random *rand.Rand, keys []Key) Change {
	c := Change{Version: m.version + 1, Unsigned: Unsigned{Limits: randomSets(random)}}
	if random.IntN(10) == 0 {
		c.Unsigned.Settings = &Settings{TokenPrefix: []string{"", "a-", "b-"}[random.IntN(3)]}
	}
	m.randomImports(random, &c.Unsigned)
	for range random.IntN(5) {
		key := keys[random.IntN(len(keys))]
		_, has := m.keys[key.kid]
		switch gone := slices.Contains(c.Remove, key.kid); {
		case has && !gone && random.IntN(2) == 0:
			c.Remove = append(c.Remove, key.kid)
			continue
		case (!has || gone) && !slices.Contains(c.Add, key):
			c.Add = append(c.Add, key)
		}
	}
	for _, key := range keys {
		_, has := m.keys[key.kid]
		published := slices.Contains(c.Add, key) || has && !slices.Contains(c.Remove, key.kid)
		if published && random.IntN(20) == 0 {
			c.Unsigned.Set = append(c.Unsigned.Set, KeyAttributes{key.kid, randomAttributes(random)})
		}
	}
	return c
}

// Compare a Table with a model during random changes, also refused ones, whole sets that are installed or
// aborted, and concurrent snapshots.
func TestTableAttributesAgainstModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := newRand(300 + seed)
			keys := testKeys(t, 300+seed, 300)
			want, table := emptyFeed(), new(Table)
			want.version = 1
			want.install(t, table)
			type open struct {
				snap      *snapshot
				want, got *feedModel
			}
			var readings []*open
			for range 300 {
				c := want.randomChange(random, keys)
				bad := c
				bad.Unsigned.Set = append(slices.Clone(c.Unsigned.Set), KeyAttributes{KID{1}, typical})
				if err := table.Apply(bad); !errors.Is(err, ErrNotPublished) {
					t.Fatal(err)
				}
				if err := table.Apply(c); err != nil {
					t.Fatal(err)
				}
				want.apply(c)
				switch random.IntN(10) {
				case 0:
					r := &open{table.snapshot(), want.clone(), new(feedModel)}
					r.got.begin(r.snap)
					readings = append(readings, r)
				case 1:
					before := want.clone()
					for range random.IntN(20) {
						want.apply(want.randomChange(random, keys))
					}
					before.version, want.version = 0, 0
					same := reflect.DeepEqual(before, want)
					want.version = uint64(1 + random.IntN(500))
					if want.install(t, table) == same {
						t.Errorf("same: %v", same)
					}
				case 2:
					other := want.clone()
					other.apply(other.randomChange(random, keys))
					other.refresh(t, table).abort()
				}
				for _, r := range readings { // a piece each
					if r.snap.cursor < r.snap.end {
						_ = yieldAll(r.snap.read(nil), r.got.add)
					}
				}
			}
			want.check(t, table)
			for _, r := range readings {
				_ = r.snap.each(r.got.add)
				r.snap.close()
				if !reflect.DeepEqual(r.got, r.want) {
					t.Errorf("a snapshot of version %d has other attributes", r.want.version)
				}
			}
		})
	}
}

func TestTableRefreshDiffersByAttributes(t *testing.T) {
	key := testKeys(t, 310, 1)[0]
	plan := LimitSet{OnPlan, "free", []Limit{{Name: "a", Requests: 1, Seconds: 1}}}
	shared := map[subject]LimitSet{plan.subject(): plan}
	want := &feedModel{
		5, modelOf([]Key{key}), map[KID]Attributes{key.kid: typical}, shared, &Settings{TokenPrefix: "a-"}, map[KID]ImportedKey{},
	}
	table := new(Table)
	want.install(t, table)
	for name, test := range map[string]struct {
		change func(*feedModel)
		want   bool
	}{
		"nothing": {func(*feedModel) {}, false},
		"other":   {func(m *feedModel) { m.attributes[key.kid] = Attributes{Plan: "gold"} }, true},
		"none":    {func(m *feedModel) { delete(m.attributes, key.kid) }, true},
		"another rule": {func(m *feedModel) {
			plan.Limits = []Limit{{Name: "a", Requests: 2, Seconds: 1}}
			m.shared[plan.subject()] = plan
		}, true},
		"no settings": {func(m *feedModel) { m.settings = &Settings{} }, true},
		"other settings": {func(m *feedModel) {
			m.settings = &Settings{TokenPrefix: "a-", BareUntil: time.Unix(1, 0)}
		}, true},
		"no set":      {func(m *feedModel) { clear(m.shared) }, true},
		"another set": {func(m *feedModel) { m.shared[subject{OnTotal, AnyName}] = LimitSet{OnTotal, AnyName, plan.Limits} }, true},
	} {
		m := want.clone()
		test.change(m)
		next := m.refresh(t, table)
		if got := next.differs(); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		next.abort()
		want.check(t, table)
	}
}

func TestTableRefusesAttributes(t *testing.T) {
	keys := testKeys(t, 311, 4)
	for _, table := range []*Table{new(Table), tableOf(t, 4, keys[:2]...)} {
		next := table.refresh()
		for _, key := range keys[1:3] {
			if err := next.Add(key); err != nil {
				t.Fatal(err)
			}
		}
		for name, test := range map[string]struct {
			set  KeyAttributes
			want error
		}{
			"a key that was not added":           {KeyAttributes{keys[3].kid, typical}, ErrNotPublished},
			"a key of the Table that is removed": {KeyAttributes{keys[0].kid, typical}, ErrNotPublished},
			"too long":                           {KeyAttributes{keys[1].kid, Attributes{Plan: strings.Repeat("a", 1<<16)}}, ErrAttributes},
		} {
			if err := next.Set(test.set); !errors.Is(err, test.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, key := range keys[1:3] {
			a := KeyAttributes{key.kid, typical}
			if err := next.Set(a); err != nil {
				t.Fatal(err)
			}
			if err := next.Set(a); !errors.Is(err, ErrAttributes) {
				t.Errorf("attributes that come twice: %v", err)
			}
		}
		next.abort()
		if table.texts.Len() != 0 {
			t.Error("an aborted refresh leaves attributes")
		}
	}
	table := tableOf(t, 4, keys...)
	for _, set := range []KeyAttributes{{KID{1}, typical}, {keys[0].kid, Attributes{Scopes: []string{"a b"}}}} {
		c := Change{Version: 5, Unsigned: Unsigned{Set: []KeyAttributes{{keys[1].kid, typical}, set}}}
		if err := table.Apply(c); err == nil {
			t.Error("attributes are accepted")
		}
		(&feedModel{4, modelOf(keys), map[KID]Attributes{}, map[subject]LimitSet{}, nil, map[KID]ImportedKey{}}).check(t, table)
	}
}

// A change of attributes costs the same in a large set.
func BenchmarkTableAttributes(b *testing.B) {
	for _, size := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			random := newRand(312)
			keys := make([]Key, size) // any kids
			for i := range keys {
				for at := range keys[i].kid {
					keys[i].kid[at] = byte(random.Uint32())
				}
				keys[i].n[0] = 0x80
			}
			table := tableOf(b, 1, keys...)
			c, a := Change{Version: 1}, typical
			for b.Loop() {
				c.Version++
				a.ExpiresAt = a.ExpiresAt.Add(time.Second)
				c.Unsigned.Set = []KeyAttributes{{keys[random.IntN(size)].kid, a}}
				if err := table.Apply(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
