package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/burnkey/burnkey/store"
)

// OldPortal is a workspace's portal in version 3 of the schema, which contains the logo.
type OldPortal struct {
	Text string // JSON; empty: it was never set
	logo []byte
	want store.Portal
}

// PortalsBefore has portals by workspace.
type PortalsBefore map[string]OldPortal

// OldPortals returns portals with and without a logo, for a test of the migration that moves logos to their own
// table.
func OldPortals(t *testing.T) PortalsBefore {
	t.Helper()
	full := store.Portal{
		DisplayName: `"Acme" 💚 <a>`, BaseURL: "https://api.example.com/v1?a=<b>", Accent: "#00ff7f",
		FrameAncestors: []string{"https://a.example"},
		OIDC:           &store.OIDC{Issuer: "https://id.example", ClientID: "c", OwnerClaim: "org"},
	}
	portals := PortalsBefore{"unset": {want: store.Portal{}.Clone()}}
	for id, logo := range map[string][]byte{
		"long": bytes.Repeat([]byte{0xff, 0xfb, 0}, 64<<10/3), "short": {0}, "none": nil,
	} {
		with := struct {
			store.Portal
			Logo []byte `json:"logo,omitempty"`
		}{full, logo}
		text, err := json.Marshal(with)
		if err != nil {
			t.Fatal(err)
		}
		want := full
		if logo != nil {
			want.LogoHash = hashOf(logo)
		}
		portals[id] = OldPortal{string(text), logo, want}
	}
	return portals
}

// Check checks that a migrated store has the same portals and logos.
func (portals PortalsBefore) Check(t *testing.T, s store.Store) {
	t.Helper()
	for id, old := range portals {
		w, err := s.Workspace(t.Context(), id)
		if err != nil || !reflect.DeepEqual(w.Portal, old.want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", id, w.Portal, err, old.want)
		}
		logo, err := s.Logo(t.Context(), id)
		if !bytes.Equal(logo, old.logo) || (old.logo == nil) != errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: a logo of %d bytes, want %d: %v", id, len(logo), len(old.logo), err)
		}
		// A later update must find the logo in its table.
		if _, err := s.UpdateWorkspace(t.Context(), id, func(w *store.Workspace) error { w.Portal.LogoHash = ""; return nil }); err != nil {
			t.Error(err)
		}
		if _, err := s.Logo(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: what was removed is there: %v", id, err)
		}
	}
}
