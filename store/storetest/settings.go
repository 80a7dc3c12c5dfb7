package storetest

import (
	"errors"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var settingsTests = []test{
	{"of a new workspace are published as version 2", settingsCreate},
	{"are published when they change", settingsUpdate},
	{"are given to the terms of a key", settingsTerms},
}

var acmeSettings = jwks.Settings{TokenPrefix: "acme-live-", BareUntil: now.Add(time.Hour)}

func settingsCreate(e env) {
	given := store.Workspace{ID: "acme", Settings: acmeSettings, CreatedAt: now}
	given.Settings.BareUntil = given.Settings.BareUntil.In(time.FixedZone("", 3600)).Add(999 * time.Nanosecond)
	created, err := e.CreateWorkspace(e.ctx, given, NewKey(e))
	e.ok(err)
	e.equal("settings", created.Settings, acmeSettings)
	e.equal("version", created.Version, uint64(2))
	read, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("read", read, created)
	list, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{Limit: 1})
	e.ok(err)
	e.equal("listed", list[0].Settings, acmeSettings)
	e.equal("published", e.feed("acme").settings, acmeSettings)
	e.equal("the change", e.changesOf("acme")[1:], []jwks.Change{{
		Version: 2, Add: []jwks.Key{}, Remove: []jwks.KID{}, Unsigned: jwks.Unsigned{Settings: &acmeSettings},
	}})
	_, err = e.CreateWorkspace(e.ctx, given, NewKey(e))
	e.is(err, store.ErrExists)
	given.ID, given.Settings.TokenPrefix = "bad", "Acme"
	if _, err = e.CreateWorkspace(e.ctx, given, NewKey(e)); err == nil {
		e.Error("an invalid prefix is stored")
	}
	_, err = e.Workspace(e.ctx, "bad")
	e.is(err, store.ErrNotFound)
	e.consistent("acme")
}

func settingsUpdate(e env) {
	e.create("acme")
	other, _ := e.create("other")
	update := func(change func(w *store.Workspace) error) store.Workspace {
		w, err := e.UpdateWorkspace(e.ctx, "acme", change)
		e.ok(err)
		read, err := e.Workspace(e.ctx, "acme")
		e.ok(err)
		e.equal("read", read, w)
		return w
	}
	w := update(func(w *store.Workspace) error { w.Name = "New"; return nil })
	e.equal("version after another change", w.Version, uint64(1))
	w = update(func(w *store.Workspace) error { w.Settings = acmeSettings; return nil })
	e.equal("version", w.Version, uint64(2))
	e.equal("published", e.feed("acme").settings, acmeSettings)
	w = update(func(w *store.Workspace) error {
		w.Settings.BareUntil = w.Settings.BareUntil.In(time.FixedZone("", 3600))
		return nil
	})
	e.equal("version for the same time", w.Version, uint64(2))
	_, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error {
		w.Settings.TokenPrefix = "x-"
		return errors.New("refused")
	})
	if err == nil {
		e.Error("a refused change succeeds")
	}
	w = update(func(w *store.Workspace) error { w.Settings.BareUntil = time.Time{}; return nil })
	e.equal("version", w.Version, uint64(3))
	update(func(w *store.Workspace) error { w.Settings = jwks.Settings{}; return nil })
	e.equal("published", e.feed("acme").settings, jwks.Settings{})
	e.equal("published for the other", e.feed("other").settings, jwks.Settings{})
	read, err := e.Workspace(e.ctx, "other")
	e.ok(err)
	e.equal("the other", read, other)
	e.consistent("acme")
}

func settingsTerms(e env) {
	e.create("acme")
	_, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error { w.Settings = acmeSettings; return nil })
	e.ok(err)
	var got jwks.Settings
	_, err = e.Issue(e.ctx, NewRecord("acme", "o"), NewKey(e), func(w *store.Workspace) (int, error) {
		got = w.Settings
		return 0, nil
	})
	e.ok(err)
	e.equal("settings", got, acmeSettings)
}
