package storetest

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// PublishedSet is a set as a server publishes it.
type PublishedSet interface {
	Version() uint64
	io.WriterTo // the JSON form
}

// KeysOf returns the keys of a set, read from its JSON form.
func KeysOf(t testing.TB, set PublishedSet) []jwks.Key {
	t.Helper()
	var body bytes.Buffer
	if _, err := set.WriteTo(&body); err != nil {
		t.Fatal(err)
	}
	keys, err := jwks.ParseSet(body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Agrees checks that a set has the version and exactly the keys that the store has published for a workspace.
func Agrees(t testing.TB, s store.PublishedStore, workspace string, set PublishedSet) {
	t.Helper()
	var want []jwks.Key
	version, _, err := s.Published(t.Context(), workspace, func(k jwks.Key, _ jwks.Attributes) error {
		want = append(want, k)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := KeysOf(t, set); set.Version() != version || !slices.Equal(got, want) {
		t.Errorf("%d keys at version %d are published, the store has %d at %d", len(got), set.Version(), len(want), version)
	}
}
