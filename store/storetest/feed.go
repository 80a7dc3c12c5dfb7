package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// feed is what a workspace publishes to gateways.
type feed struct {
	version    uint64
	keys       map[jwks.KID]jwks.Key
	attributes map[jwks.KID]jwks.Attributes // those that are not zero
	shared     map[string]jwks.LimitSet     // by subject and name
	settings   jwks.Settings
	imported   map[jwks.KID]jwks.ImportedKey
}

func newFeed() *feed {
	return &feed{
		keys: map[jwks.KID]jwks.Key{}, attributes: map[jwks.KID]jwks.Attributes{}, shared: map[string]jwks.LimitSet{},
		imported: map[jwks.KID]jwks.ImportedKey{},
	}
}

func (f *feed) set(kid jwks.KID, a jwks.Attributes) {
	if delete(f.attributes, kid); !a.IsZero() {
		f.attributes[kid] = a
	}
}

// readFeed reads what is published, and checks its order.
func readFeed(ctx context.Context, s store.PublishedStore, workspace string) (*feed, error) {
	f := newFeed()
	var last *jwks.KID
	version, unsigned, err := s.Published(ctx, workspace, func(k jwks.Key, a jwks.Attributes) error {
		kid := k.KID()
		if last != nil && slices.Compare(last[:], kid[:]) >= 0 {
			return fmt.Errorf("%s comes after %s", kid, last)
		}
		last, f.keys[kid] = &kid, k
		f.set(kid, a)
		return nil
	})
	f.version = version
	for _, set := range unsigned.Limits {
		f.shared[set.On+" "+set.Name] = set
	}
	if err == nil && len(f.shared) != len(unsigned.Limits) {
		err = fmt.Errorf("some of %d sets of limits come twice", len(unsigned.Limits))
	}
	if unsigned.Settings != nil {
		f.settings = *unsigned.Settings
	}
	for _, k := range unsigned.Imported {
		f.imported[k.KID()] = k
	}
	return f, err
}

func (e env) feed(workspace string) *feed {
	e.Helper()
	f, err := readFeed(e.ctx, e.Store, workspace)
	e.ok(err)
	return f
}

// apply applies the next change. It fails if the change adds a key that is published, removes a key or set of
// limits that is not, or sets the attributes of a key that is not published.
func (f *feed) apply(c jwks.Change) error {
	if f.version++; c.Version != f.version {
		return fmt.Errorf("change %d has version %d", f.version, c.Version)
	}
	for _, kid := range c.Remove {
		if _, ok := f.keys[kid]; !ok {
			return fmt.Errorf("change %d removes %s, which is not in the set", c.Version, kid)
		}
		delete(f.keys, kid)
		delete(f.attributes, kid)
	}
	for _, key := range c.Add {
		if _, ok := f.keys[key.KID()]; ok {
			return fmt.Errorf("change %d adds %s again", c.Version, key.KID())
		}
		f.keys[key.KID()] = key
	}
	for _, set := range c.Unsigned.Set {
		if _, ok := f.keys[set.KID]; !ok {
			return fmt.Errorf("change %d sets attributes of %s, which is not in the set", c.Version, set.KID)
		}
		f.set(set.KID, set.Attributes)
	}
	for _, limits := range c.Unsigned.Limits {
		name := limits.On + " " + limits.Name
		if _, ok := f.shared[name]; !ok && len(limits.Limits) == 0 {
			return fmt.Errorf("change %d deletes the limits of %s, which there are not", c.Version, name)
		}
		if delete(f.shared, name); len(limits.Limits) > 0 {
			f.shared[name] = limits
		}
	}
	if next := c.Unsigned.Settings; next != nil {
		if next.Equal(&f.settings) {
			return fmt.Errorf("change %d sets the settings that were there before", c.Version)
		}
		f.settings = *next
	}
	for _, kid := range c.Unsigned.Dropped {
		if _, ok := f.imported[kid]; !ok {
			return fmt.Errorf("change %d drops %s, which is not in the feed", c.Version, kid)
		}
		delete(f.imported, kid)
	}
	for _, k := range c.Unsigned.Imported {
		f.imported[k.KID()] = k
	}
	return nil
}

// Replays checks that what a workspace publishes, with attributes and limits, is what all its changes lead to.
func Replays(t testing.TB, s store.PublishedStore, workspace string) {
	t.Helper()
	published, err := readFeed(t.Context(), s, workspace)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := s.Changes(t.Context(), workspace, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	replayed := newFeed()
	for _, c := range changes {
		if err := replayed.apply(c); err != nil {
			t.Error(err)
		}
	}
	if !reflect.DeepEqual(published, replayed) {
		t.Errorf("the replayed changes lead to version %d with %d keys, published are %d and %d: %+v, %+v", replayed.version,
			len(replayed.keys), published.version, len(published.keys), replayed.attributes, published.attributes)
	}
}
