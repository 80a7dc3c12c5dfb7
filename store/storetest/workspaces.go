package storetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var workspaceTests = []test{
	{"comes back as it was created", workspaceRoundTrip},
	{"starts with its tombstone as version 1", workspaceTombstone},
	{"is created once", workspaceExists},
	{"is created once when many try", workspaceExistsRace},
	{"is ErrNotFound if it does not exist", workspaceNotFound},
	{"lists by id in pages", workspacePages},
	{"is found by a part of its id or name", workspaceFind},
	{"end by bytes and by what was looked at, and go on", workspaceBounds},
	{"keeps its id, version and creation through an update", workspaceUpdate},
	{"has a logo apart", workspaceLogo},
	{"stores nothing of an update that fails", workspaceUpdateFails},
	{"loses no update to another", workspaceUpdateRace},
}

func workspaceRoundTrip(e env) {
	tombstone := NewKey(e)
	given := store.Workspace{
		ID: "acme", Name: `Ac"me 💚`, Audiences: []string{"b", `<a&'">`, ""}, AllowNeverExpires: true,
		Policy: store.Policy{
			Scopes:       []store.OfferedScope{{Name: "maps:read", Description: `<"Read">`}, {Name: "x"}},
			MaxExpiresIn: 1 << 40, DefaultExpiresIn: 60, KeysPerOwner: 5, PortalNeverExpires: true, DefaultAudience: []string{"b"},
			Webhook: "https://hooks.example/burnkey?a=<b>",
		},
		Portal: store.Portal{
			DisplayName: "Acme 💚", BaseURL: "https://api.example.com/v1?a=<b>", Accent: "#00ff7f", Logo: []byte{0x89, 'P', 'N', 'G', 0, 0xff},
			FrameAncestors: []string{"https://a.example", "https://b.example"},
			OIDC: &store.OIDC{
				Issuer: "https://id.example", ClientID: "c", OwnerClaim: "org", OperatorClaim: "groups", OperatorValue: "staff",
			},
		},
		Version: 99, CreatedAt: now.In(time.FixedZone("", 3600)).Add(999 * time.Nanosecond), UpdatedAt: now.Add(time.Hour),
	}
	want := given
	want.Version, want.CreatedAt, want.UpdatedAt, want.Inherits = 1, now, now, []string{}
	want.Portal.Logo, want.Portal.LogoHash = nil, hashOf(given.Portal.Logo)
	created, err := e.CreateWorkspace(e.ctx, given, tombstone)
	e.ok(err)
	e.equal("created", created, want)
	got, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("read", got, want)
	e.equal("logo", e.logo("acme"), given.Portal.Logo)

	bare, err := e.CreateWorkspace(e.ctx, store.Workspace{ID: "bare", CreatedAt: now}, NewKey(e))
	e.ok(err)
	e.equal("audiences that were nil", bare.Audiences, []string{})
	e.equal("policy", bare.Policy, store.Policy{Scopes: []store.OfferedScope{}, DefaultAudience: []string{}})
	e.equal("portal", bare.Portal, store.Portal{FrameAncestors: []string{}})
	got, err = e.Workspace(e.ctx, "bare")
	e.ok(err)
	e.equal("read", got, bare)
}

func workspaceTombstone(e env) {
	_, tombstone := e.create("acme")
	keys, version := e.published("acme")
	e.equal("version", version, uint64(1))
	e.equal("published", keys, []jwks.Key{tombstone})
	e.equal("changes", e.changesOf("acme"),
		[]jwks.Change{{Version: 1, Add: []jwks.Key{tombstone}, Remove: []jwks.KID{}}})
	e.equal("records", e.list("acme", store.Filter{}), []store.Key{})
}

func workspaceExists(e env) {
	w, tombstone := e.create("acme")
	_, err := e.CreateWorkspace(e.ctx, store.Workspace{ID: "acme", Name: "other", CreatedAt: now}, NewKey(e))
	e.is(err, store.ErrExists)
	got, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("the first", got, w)
	keys, _ := e.published("acme")
	e.equal("published", keys, []jwks.Key{tombstone})
}

func workspaceExistsRace(e env) {
	var won atomic.Int32
	e.parallel(8, func(i int) {
		_, err := e.CreateWorkspace(e.ctx, store.Workspace{ID: "acme", Name: fmt.Sprint(i), CreatedAt: now}, NewKey(e))
		switch {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, store.ErrExists):
			e.Error(err)
		}
	})
	e.equal("winners", won.Load(), int32(1))
	e.consistent("acme")
}

func workspaceNotFound(e env) {
	e.create("acme")
	for name, call := range e.calls("nobody", uuid.Must(uuid.NewV7())) {
		if err := call(e.ctx); !errors.Is(err, store.ErrNotFound) {
			e.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
	e.equal("records", e.list("nobody", store.Filter{}), []store.Key{})
	_, err := e.Workspace(e.ctx, "")
	e.is(err, store.ErrNotFound)
	_, err = e.Workspace(e.ctx, "ACME")
	e.is(err, store.ErrNotFound)
}

func workspacePages(e env) {
	empty, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{Limit: 10})
	e.ok(err)
	e.equal("an empty database", empty, []store.Workspace{})
	names := []string{"a", "a-b", "a0", "b", "b0", "z9"} // in the order of bytes
	want := make([]store.Workspace, len(names))
	for _, i := range []int{3, 0, 5, 2, 4, 1} {
		want[i], _ = e.create(names[i])
	}
	var got []store.Workspace
	for after := ""; ; {
		page, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{After: after, Limit: 4})
		e.ok(err)
		if len(page) == 0 {
			break
		}
		if len(page) > 4 || page[0].ID <= after {
			e.Fatalf("a page of %d after %q starts with %q", len(page), after, page[0].ID)
		}
		got, after = append(got, page...), page[len(page)-1].ID
	}
	e.equal("all pages", got, want)
	all, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{After: "a1", Limit: math.MaxInt32})
	e.ok(err)
	e.equal("after an unknown id", all, want[3:])
	for _, limit := range []int{0, -1} {
		if _, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{Limit: limit}); err == nil {
			e.Errorf("a limit of %d passes", limit)
		}
	}
}

func workspaceFind(e env) {
	for id, name := range map[string]string{"acme": "Acme 100%", "acme-eu": "Östlich", "maps": "The ACME maps", "zoo": "a_b", "zoo-2": "axb"} {
		_, err := e.CreateWorkspace(e.ctx, store.Workspace{ID: id, Name: name, Audiences: []string{id}, CreatedAt: now}, NewKey(e))
		e.ok(err)
	}
	_, err := e.UpdateWorkspace(e.ctx, "maps", func(w *store.Workspace) error {
		w.Policy.KeysPerOwner, w.Portal.Logo = 7, []byte{0xff}
		return nil
	})
	e.ok(err)
	find := func(query, after string, limit int) string {
		list, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{Query: query, After: after, Limit: limit})
		e.ok(err)
		var ids []string
		for _, w := range list {
			ids = append(ids, w.ID)
		}
		return strings.Join(ids, " ")
	}
	for query, want := range map[string]string{
		"": "acme acme-eu maps zoo zoo-2", "acme": "acme acme-eu maps", "ACME ": "acme maps", "me-E": "acme-eu", "%": "acme", "_": "zoo",
		"östlich": "acme-eu", "O\u0308STLICH": "acme-eu", "Ostlich": "", "'": "", "\x00": "", "\xff": "", "none": "",
	} {
		e.equal(fmt.Sprintf("%q", query), find(query, "", 9), want)
	}
	e.equal("a page", find("acme", "", 2), "acme acme-eu")
	e.equal("the next one", find("acme", "acme-eu", 2), "maps")
	want, err := e.Workspace(e.ctx, "maps")
	e.ok(err)
	want.Policy, want.Portal = store.Policy{}.Clone(), store.Portal{}.Clone()
	list, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{Query: "maps", Limit: 1})
	e.ok(err)
	e.equal("found", list, []store.Workspace{want})
}

func workspaceUpdate(e env) {
	w, _ := e.create("acme")
	want := w
	want.Name, want.Audiences, want.AllowNeverExpires = "new", []string{"x", "y"}, true
	want.UpdatedAt = now.Add(time.Hour)
	want.Policy.Scopes = []store.OfferedScope{{Name: "a"}}
	want.Portal.OIDC = &store.OIDC{Issuer: "https://id.example"}
	updated, err := e.UpdateWorkspace(e.ctx, "acme", func(x *store.Workspace) error {
		e.equal("what change is given", *x, w)
		x.ID, x.Version, x.CreatedAt = "other", 77, now.Add(-time.Hour)
		x.Name, x.Audiences, x.AllowNeverExpires = want.Name, want.Audiences, true
		x.Policy.Scopes = []store.OfferedScope{{Name: "a"}}
		x.Portal.OIDC = &store.OIDC{Issuer: "https://id.example"}
		x.UpdatedAt = want.UpdatedAt.Add(999 * time.Nanosecond).In(time.FixedZone("", -7200))
		return nil
	})
	e.ok(err)
	e.equal("updated", updated, want)
	got, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("read", got, want)
	updated, err = e.UpdateWorkspace(e.ctx, "acme", func(x *store.Workspace) error { x.Audiences = nil; return nil })
	e.ok(err)
	e.equal("the rest", updated.Portal, want.Portal)
	e.equal("audiences that were nil", updated.Audiences, []string{})
	e.consistent("acme")
}

func hashOf(logo []byte) string {
	sum := sha256.Sum256(logo)
	return hex.EncodeToString(sum[:])
}

func (e env) logo(workspace string) []byte {
	e.Helper()
	logo, err := e.Logo(e.ctx, workspace)
	e.ok(err)
	return logo
}

func workspaceLogo(e env) {
	e.create("acme")
	e.create("other")
	none := func() {
		e.Helper()
		for _, id := range []string{"acme", "other", "nobody"} {
			_, err := e.Logo(e.ctx, id)
			e.is(err, store.ErrNotFound)
		}
	}
	none()
	first, second := bytes.Repeat([]byte{0xff, 0}, 32<<10), []byte("PNG") // 64 KiB
	for _, step := range []struct {
		what   string
		change func(*store.Portal)
		want   []byte
	}{
		{"set", func(p *store.Portal) { p.Logo = first }, first},
		{"unchanged", func(p *store.Portal) { p.Accent = "#000000" }, first},
		{"a hash alone", func(p *store.Portal) { p.LogoHash = hashOf(second) }, first},
		{"replaced", func(p *store.Portal) { p.Logo, p.LogoHash = second, "" }, second},
		{"removed", func(p *store.Portal) { p.LogoHash = "" }, nil},
		{"a hash without its logo", func(p *store.Portal) { p.LogoHash = hashOf(second) }, nil},
		{"set with the rest", func(p *store.Portal) { *p = store.Portal{DisplayName: "x", Logo: first} }, first},
		{"removed with the rest", func(p *store.Portal) { *p = store.Portal{} }, nil},
	} {
		w, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error {
			e.equal("the logo's bytes before it is "+step.what, len(w.Portal.Logo), 0)
			step.change(&w.Portal)
			return nil
		})
		e.ok(err)
		got, err := e.Workspace(e.ctx, "acme")
		e.ok(err)
		e.equal(step.what, got, w)
		if step.want == nil {
			e.equal(step.what, w.Portal.LogoHash, "")
			none()
			continue
		}
		e.equal(step.what, w.Portal.LogoHash, hashOf(step.want))
		e.equal(step.what, e.logo("acme"), step.want)
		_, err = e.Logo(e.ctx, "other")
		e.is(err, store.ErrNotFound)
	}
	e.consistent("acme")
}

func workspaceUpdateFails(e env) {
	w, _ := e.create("acme")
	refusal := errors.New("refused")
	_, err := e.UpdateWorkspace(e.ctx, "acme", func(x *store.Workspace) error {
		x.Name, x.Audiences[0] = "new", "new"
		x.Policy.KeysPerOwner = 7
		x.Portal.Logo = []byte("PNG")
		return refusal
	})
	e.is(err, refusal)
	got, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("read", got, w)
	_, err = e.Logo(e.ctx, "acme")
	e.is(err, store.ErrNotFound)
}

func workspaceUpdateRace(e env) {
	const workers, each = 4, 10
	e.create("acme")
	count := func(w *store.Workspace) error {
		n, _ := strconv.Atoi(w.Name)
		w.Name = strconv.Itoa(n + 1)
		return nil
	}
	e.parallel(workers, func(int) {
		for range each {
			if _, err := e.UpdateWorkspace(e.ctx, "acme", count); err != nil {
				e.Error(err)
			}
		}
	})
	w, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("count", w.Name, strconv.Itoa(workers*each))
}

// is fails the test unless errors.Is(err, target).
func (e env) is(err, target error) {
	e.Helper()
	if !errors.Is(err, target) {
		e.Fatalf("got %v, want %v", err, target)
	}
}

// parallel runs n calls of do at once and waits for all of them.
func (e env) parallel(n int, do func(i int)) {
	var (
		wg    sync.WaitGroup
		start = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	wg.Wait()
}
