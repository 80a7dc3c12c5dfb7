package portal

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const (
	onPage = 25 // keys
	// lookedAt is how many of the owner's newest keys are searched for keys that expire soon.
	lookedAt = 500
	// pagesRead limits how many pages of the store are read to fill one page of the portal.
	pagesRead   = 20
	expiresSoon = 14 * day
)

// shownKey is a key as pages show it.
type shownKey struct {
	store.Key
	Name  string // never empty
	State string // store.Status
	Note  string // of the metadata: the environment that the owner noted in earlier releases, or empty
	Short string // end of the id, which identifies a key without a name
	Soon  bool   // the key expires soon and has no successor
}

// shortLen is the length of shownKey.Short: 32 random bits of a UUIDv7.
const shortLen = 8

func shortOf(id uuid.UUID) string {
	text := id.String()
	return text[len(text)-shortLen:]
}

func (v *visit) show(k store.Key) shownKey {
	s := shownKey{
		Key: k, Name: k.Name, State: string(k.Status(v.now())), Note: noteOf(k.Metadata), Short: shortOf(k.ID),
	}
	if s.Name == "" {
		s.Name = v.language.Text("key.unnamed", "id", s.Short)
	}
	left := k.ExpiresAt.Sub(v.now())
	s.Soon = s.State == string(store.Active) && !k.ExpiresAt.IsZero() && left <= expiresSoon
	return s
}

// Live reports whether gateways accept the key, or will when it is resumed.
func (k shownKey) Live() bool {
	return slices.Contains([]store.Status{store.Active, store.Deprecated, store.Suspended}, store.Status(k.State))
}

func (v *visit) showAll(keys []store.Key) []shownKey {
	shown := make([]shownKey, len(keys))
	for i, k := range keys {
		shown[i] = v.show(k)
	}
	return shown
}

// Status returns a key's status together with its text in the page's language.
func (p *view) Status(state string) struct{ State, Text string } {
	return struct{ State, Text string }{state, p.T("status." + state)}
}

// noteOf returns the environment in metadata, as owners noted it. Other clients may store anything there.
func noteOf(metadata []byte) string {
	var m struct {
		Environment string `json:"environment"`
	}
	if json.Unmarshal(metadata, &m) != nil || m.Environment == "" || utf8.RuneCountInString(m.Environment) > 32 {
		return ""
	}
	return "environment: " + m.Environment
}

// keyList is the data of a list of keys, of one owner or all.
type keyList struct {
	Keys                 []shownKey
	Query, Owner, Status string // filter
	Statuses             []store.Status
	Some                 bool // some of Keys can be revoked
	pages

	Expiring []shownKey              // of an owner
	Full     int                     // of an owner; see full
	Parents  map[uuid.UUID]*shownKey // of an owner's keys
}

// Filtered reports whether a filter may hide some keys.
func (l *keyList) Filtered() bool { return l.Query != "" || l.Owner != "" || l.Status != "" }

func listKeys(v *visit) error {
	v.remember()
	given := v.r.URL.Query()
	l := &keyList{Query: sought(strings.TrimSpace(given.Get("q"))), Status: given.Get("status")}
	if utf8.RuneCountInString(l.Query) > authz.MaxText || !utf8.ValidString(l.Query) {
		return errNowhere
	}
	err := v.readKeys(l, v.session.Owner)
	if err != nil {
		return err
	}
	if err := v.readParents(l); err != nil {
		return err
	}
	if l.Full, err = v.full(); err != nil {
		return err
	}
	if l.First && !l.Filtered() {
		if l.Expiring, err = v.expiring(); err != nil {
			return err
		}
	}
	return v.render(http.StatusOK, "list", "keys.title", l)
}

func (v *visit) statuses() []store.Status {
	return []store.Status{store.Active, store.Deprecated, store.Suspended, store.Revoked, store.Expired}
}

// readKeys reads the page of keys that the URL's query selects. An empty owner means the keys of all
// owners.
func (v *visit) readKeys(l *keyList, owner string) error {
	l.Statuses = v.statuses()
	if !slices.Contains(l.Statuses, store.Status(l.Status)) {
		l.Status = "" // the address was tampered with
	}
	after := v.afterOf()
	keys, next, err := v.service.Keys(v.context(), v.workspace.ID, store.Filter{
		Query: l.Query, Owner: owner, Status: store.Status(l.Status), After: after, Limit: onPage,
	})
	l.pages = pagesOf(after, next, "q", l.Query, "owner", l.Owner, "status", l.Status)
	l.Keys = v.showAll(keys)
	l.Some = slices.ContainsFunc(l.Keys, shownKey.Live)
	return err
}

// sought returns the id or kid that a search text contains, or else the whole text.
func sought(text string) string {
	if name, ok := authz.NameIn(text); ok {
		return name
	}
	return text
}

// expiring returns those of the owner's newest keys that expire soon and can be rotated, sorted by expiry.
func (v *visit) expiring() (soon []shownKey, err error) {
	err = v.newest(store.Active, func(k store.Key) {
		k.Claims, k.Metadata = nil, nil // large, and not shown
		if shown := v.show(k); shown.Soon && !shown.HasParent() {
			soon = append(soon, shown)
		}
	})
	slices.SortFunc(soon, func(a, b shownKey) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	return soon, err
}

// newest calls look for the owner's newest keys with a status (empty: any), the latest first.
func (v *visit) newest(status store.Status, look func(store.Key)) error {
	return v.each(store.Filter{Owner: v.session.Owner, Status: status, Limit: lookedAt}, look)
}

// each calls look for the keys that a filter selects, up to its limit, the latest first. The store limits a list's size
// in bytes, so several lists may be necessary.
func (v *visit) each(f store.Filter, look func(store.Key)) error {
	for f.Limit > 0 {
		keys, next, err := v.service.Keys(v.context(), v.workspace.ID, f)
		if err != nil {
			return err
		}
		for _, k := range keys {
			look(k)
		}
		if next == uuid.Nil {
			return nil
		}
		f.After, f.Limit = next, f.Limit-max(1, len(keys))
	}
	return nil
}
