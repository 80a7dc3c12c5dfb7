package portal

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// keyPage is the data of a key's page, for its owner or for operators.
type keyPage struct {
	Key         shownKey
	Old, New    *shownKey // its predecessor and successor, or nil
	Confirm     string    // as typed
	Records     []record
	UsableAfter int // seconds
	keyAttributes
	keyRequests
	family

	Claims, Metadata excerpt // for operators
	ownKey                   // for owners
}

// ownKey is the data of the owner's actions on a key's page.
type ownKey struct {
	InGrace   *shownKey // the key or its predecessor, whichever is in its grace period; else nil
	Successor string    // id of the successor of InGrace; another tab may show an earlier successor
	CanUndo   bool      // the successor is active; otherwise no key would work after the grace period
	CanRotate bool
	Ends      time.Duration // lifetime of the successor if the key itself never expires; else 0
	TooWide   bool          // this session may not give a successor all of the scopes
	CanRevoke bool
	Graces    []time.Duration
	Grace     time.Duration
	Once      string
	NewName   string // as typed
}

// graces are the graces to choose from.
var graces = []time.Duration{0, time.Hour, day, 7 * day, 30 * day}

// recordsOfKey is how many audit entries a key's page shows. The history page shows all of them.
const recordsOfKey = 20

// keyNotices are what a key's page can say was just done.
var keyNotices = []string{
	"found", "named", "undone", "ended", "revoked", "paused", "resumed", "addresses", "expiry", "scopes", "plan", "requested", "withdrawn",
}

func showKey(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	v.remember()
	return v.keyAgain(http.StatusOK, k, v.notice(k.ID.String(), keyNotices...), nil)
}

// keyAgain shows a key's page with the faults of a form.
func (v *visit) keyAgain(status int, k store.Key, notice string, bad faults) error {
	p, err := v.keyPage(k)
	if err != nil {
		return err
	}
	page := "key"
	if isOperator(&v.session) {
		page = "any"
	}
	return v.renderView(status, &view{Page: page, Title: p.Key.Name, Notice: notice, Content: p, Faults: bad})
}

func (v *visit) keyPage(k store.Key) (p *keyPage, err error) {
	p = &keyPage{Key: v.show(k), Confirm: v.r.PostForm.Get("confirm"), UsableAfter: int(usableAfter / time.Second)}
	if p.Old, err = v.related(k.RotatedFrom); err != nil {
		return nil, err
	}
	if p.New, err = v.related(k.RotatedTo); err != nil {
		return nil, err
	}
	if p.family, err = v.familyOf(&k); err != nil {
		return nil, err
	}
	if p.keyAttributes, err = v.attributesOf(&p.Key, p.Parent); err != nil {
		return nil, err
	}
	if p.keyRequests, err = v.requestsFor(&p.Key); err != nil {
		return nil, err
	}
	if isOperator(&v.session) {
		p.Claims, p.Metadata = excerptOf(k.Claims), excerptOf(k.Metadata)
	} else {
		p.ownKey = v.ownKey(p, k)
	}
	p.Records, _, err = v.records(store.AuditFilter{Key: k.ID, Limit: recordsOfKey})
	return p, err
}

func (v *visit) ownKey(p *keyPage, k store.Key) ownKey {
	own := ownKey{NewName: k.Name, Graces: graces, Grace: authz.DefaultGrace, Once: newOnce()}
	if v.r.PostForm.Has("name") {
		own.NewName = v.r.PostForm.Get("name")
	}
	switch store.Status(p.Key.State) {
	case store.Active:
		own.TooWide = !v.mayHave(k.Scopes)
		own.CanRotate, own.CanRevoke = !own.TooWide && p.Parent == nil, true
		if k.ExpiresAt.IsZero() && !authz.MayNeverExpire(v.page()) {
			own.Ends = time.Duration(v.defaultLife()) * time.Second
		}
		if p.Old != nil && p.Old.State == string(store.Deprecated) && p.Old.RotatedTo == k.ID {
			own.InGrace, own.Successor, own.CanUndo = p.Old, k.ID.String(), true
		}
	case store.Suspended:
		own.CanRevoke = true
	case store.Deprecated:
		own.CanRevoke, own.InGrace, own.Successor = true, &p.Key, k.RotatedTo.String()
		own.CanUndo = p.New != nil && p.New.State == string(store.Active)
	}
	return own
}

// related returns a key of the same rotation, or nil if it does not exist.
func (v *visit) related(id uuid.UUID) (*shownKey, error) {
	if id == uuid.Nil {
		return nil, nil
	}
	k, err := v.keyOf(id.String())
	if errors.Is(err, errNowhere) {
		return nil, nil
	}
	shown := v.show(k)
	return &shown, err
}

// key returns the key in the path. For an owner, the keys of other owners do not exist.
func (v *visit) key() (store.Key, error) { return v.keyOf(v.r.PathValue("id")) }

func (v *visit) keyOf(text string) (store.Key, error) {
	id, ok := store.ParseID(text)
	if !ok {
		return store.Key{}, errNowhere
	}
	k, err := v.service.Key(v.r.Context(), v.workspace.ID, id)
	if errors.Is(err, authz.ErrNotFound) || err == nil && !isOperator(&v.session) && !v.owns(&k) {
		return store.Key{}, errNowhere
	}
	return k, err
}

func (v *visit) owns(k *store.Key) bool {
	return k.Workspace == v.session.Workspace && k.Owner == v.session.Owner && v.session.Owner != ""
}

// toKey redirects from a form's address, for example after a reload, to the key's page.
func toKey(v *visit) error { return v.redirect(v.keyPath(v.r.PathValue("id"))) }

// keyPath returns the path of a key's page, for its owner or for operators.
func (v *visit) keyPath(id string) string {
	if isOperator(&v.session) {
		return v.path("operator", "keys", id)
	}
	return v.path("keys", id)
}

// finish redirects to a key's page, which shows what was done as a notice.
func (v *visit) finish(k store.Key, what string) error {
	return v.redirect(v.keyPath(k.ID.String()) + v.done(what, k.ID.String()))
}

// revokeKey requires the typed name of the key, since a revocation can't be undone.
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

// names reports whether a text is the key's name, id or kid, or the end of its id. Surrounding characters
// that were copied along are ignored.
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
