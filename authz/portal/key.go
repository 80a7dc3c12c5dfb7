package portal

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// keyPage is the content of one key's page.
type keyPage struct {
	Key         shownKey
	Old, New    *shownKey // that it succeeds, and that succeeds it
	InGrace     *shownKey // Key or Old, whichever is in its grace
	Successor   string    // the id of InGrace's: another tab may know of an earlier one
	CanUndo     bool      // the successor works: without it, nothing will when the grace ends
	CanRotate   bool
	Ends        time.Duration // life of a successor, if Key never expires but its successor would; else 0
	TooWide     bool          // this session may not give all of its scopes to a successor
	CanRevoke   bool
	Graces      []time.Duration
	Grace       time.Duration
	Once        string
	NewName     string // as typed
	Confirm     string // likewise
	Events      []event
	UsableAfter int // seconds
}

// graces are the lengths of a grace to choose from.
var graces = []time.Duration{0, time.Hour, day, 7 * day, 30 * day}

// eventsOfKey are shown on its page; the rest is in the history.
const eventsOfKey = 20

func showKey(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	v.remember()
	return v.keyAgain(http.StatusOK, k, v.notice(k.ID.String(), "named", "undone", "ended", "revoked"), nil)
}

// keyAgain shows a key's page, with what is wrong with a form of it.
func (v *visit) keyAgain(status int, k store.Key, notice string, bad faults) error {
	p, err := v.keyPage(k)
	if err != nil {
		return err
	}
	if v.r.PostForm.Has("name") {
		p.NewName = v.r.PostForm.Get("name")
	}
	p.Confirm = v.r.PostForm.Get("confirm")
	return v.renderView(status, &view{Page: "key", Title: p.Key.Name, Notice: notice, Content: p, Faults: bad})
}

func (v *visit) keyPage(k store.Key) (p *keyPage, err error) {
	p = &keyPage{
		Key: v.show(k), NewName: k.Name, Graces: graces, Grace: authz.DefaultGrace, Once: newOnce(),
		UsableAfter: int(usableAfter / time.Second),
	}
	if k.RotatedFrom != (store.Key{}).ID {
		if p.Old, err = v.related(k.RotatedFrom.String()); err != nil {
			return nil, err
		}
	}
	if k.RotatedTo != (store.Key{}).ID {
		if p.New, err = v.related(k.RotatedTo.String()); err != nil {
			return nil, err
		}
	}
	switch store.Status(p.Key.State) {
	case store.Active:
		p.TooWide = !v.mayHave(k.Scopes)
		p.CanRotate, p.CanRevoke = !p.TooWide, true
		if k.ExpiresAt.IsZero() && !authz.MayNeverExpire(v.page()) {
			p.Ends = time.Duration(v.defaultLife()) * time.Second
		}
		if p.Old != nil && p.Old.State == string(store.Deprecated) && p.Old.RotatedTo == k.ID {
			p.InGrace, p.Successor, p.CanUndo = p.Old, k.ID.String(), true
		}
	case store.Deprecated:
		p.CanRevoke, p.InGrace, p.Successor = true, &p.Key, k.RotatedTo.String()
		p.CanUndo = p.New != nil && p.New.State == string(store.Active)
	}
	p.Events, _, err = v.events(store.AuditFilter{Key: k.ID, Limit: eventsOfKey})
	return p, err
}

// related returns a key of the same rotation. It is the same owner's; were it not, there
// would be none.
func (v *visit) related(id string) (*shownKey, error) {
	k, err := v.keyOf(id)
	if errors.Is(err, errNowhere) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	shown := v.show(k)
	return &shown, nil
}

// finish leads to a key's page that says what was done.
func (v *visit) finish(k store.Key, what string) error {
	return v.redirect(v.path("keys", k.ID.String()) + v.done(what, k.ID.String()))
}

func renameKey(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	name := strings.TrimSpace(v.r.PostForm.Get("name"))
	if name == "" {
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", v.fault("name", "fault.name.empty"))
	}
	named, err := v.service.UpdateKey(v.context(), v.workspace.ID, k.ID, authz.KeyPatch{Name: &name})
	if input := authz.InputError(nil); errors.As(err, &input) {
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", v.faultsOf(input))
	}
	if err != nil {
		return err
	}
	return v.finish(named, "named")
}

// revokeKey wants to be told which key, in so many words: it can't be undone.
func revokeKey(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	if !names(v.show(k), v.r.PostForm.Get("confirm")) {
		return v.keyAgain(http.StatusUnprocessableEntity, k, "", v.fault("confirm", "fault.confirm"))
	}
	if k, err = v.service.Revoke(v.context(), v.workspace.ID, k.ID); err != nil {
		return err
	}
	return v.finish(k, "revoked")
}

// names reports whether a text is the key's name, its id or kid, or the end of its id, with or
// without surrounding characters that were copied along.
func names(k shownKey, text string) bool {
	if name, ok := authz.NameIn(text); ok && (strings.EqualFold(name, k.ID.String()) || name == k.KID.String()) {
		return true
	}
	// Keyboards differ in how they compose characters (Unicode Standard Annex 15).
	text = norm.NFC.String(strings.TrimSpace(strings.Trim(strings.TrimSpace(text), "\u2068\u2069\ufeff")))
	bare := strings.TrimSpace(strings.Trim(text, "\u2068\u2069\"'\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u2026()"))
	name := norm.NFC.String(strings.TrimSpace(k.Key.Name))
	return text != "" && (text == name || bare != "" && bare == name || strings.EqualFold(bare, k.Short))
}
