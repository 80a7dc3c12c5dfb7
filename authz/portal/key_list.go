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
	// lookedAt is how many of the newest keys are searched for ones that expire soon.
	lookedAt = 500
	// pagesRead bounds how many pages of the store are read to fill one page.
	pagesRead   = 20
	expiresSoon = 14 * day
)

// shownKey is a key as pages show it.
type shownKey struct {
	store.Key
	Name        string // what it is called, never empty
	State       string // store.Status
	Environment string // of its metadata, or empty
	Short       string // the end of its id, by which a key without a name is known
	Soon        bool   // it expires soon, and has no successor
}

// shortLen is the length of Short: 32 random bits of a UUIDv7.
const shortLen = 8

func shortOf(id uuid.UUID) string {
	text := id.String()
	return text[len(text)-shortLen:]
}

func (v *visit) show(k store.Key) shownKey {
	s := shownKey{
		Key: k, Name: k.Name, State: string(k.Status(v.now())), Environment: environmentOf(k.Metadata), Short: shortOf(k.ID),
	}
	if s.Name == "" {
		s.Name = v.language.Text("key.unnamed", "id", s.Short)
	}
	left := k.ExpiresAt.Sub(v.now())
	s.Soon = s.State == string(store.Active) && !k.ExpiresAt.IsZero() && left <= expiresSoon
	return s
}

func (v *visit) showAll(keys []store.Key) []shownKey {
	shown := make([]shownKey, len(keys))
	for i, k := range keys {
		shown[i] = v.show(k)
	}
	return shown
}

// Status is a key's, and its word.
func (p *view) Status(state string) struct{ State, Text string } {
	return struct{ State, Text string }{state, p.T("status." + state)}
}

// Environment is the word for one of ours; another's is shown as it is.
func (p *view) Environment(name string) string {
	if slices.Contains(environments, name) {
		return p.T("environment." + name)
	}
	return name
}

// environmentOf reads what createKey keeps. Metadata may be anybody's, too.
func environmentOf(metadata []byte) string {
	var m struct {
		Environment string `json:"environment"`
	}
	if json.Unmarshal(metadata, &m) != nil || utf8.RuneCountInString(m.Environment) > 32 {
		return ""
	}
	return m.Environment
}

// keyList is the content of the list's page.
type keyList struct {
	Keys     []shownKey
	Expiring []shownKey
	Query    string
	Status   string
	Statuses []store.Status
	Next     string // the query of the next page, or empty
	First    bool   // it is the first page
	Full     int    // see full
}

// Filtered says whether some keys are left out.
func (l *keyList) Filtered() bool { return l.Query != "" || l.Status != "" }

func listKeys(v *visit) error {
	v.remember()
	given := v.r.URL.Query()
	l := &keyList{
		Query: sought(strings.TrimSpace(given.Get("q"))), Status: given.Get("status"),
		Statuses: []store.Status{store.Active, store.Deprecated, store.Revoked, store.Expired},
	}
	after := v.afterOf()
	l.First = after == uuid.Nil
	if !slices.Contains(l.Statuses, store.Status(l.Status)) {
		l.Status = "" // somebody has tampered with the address
	}
	if utf8.RuneCountInString(l.Query) > authz.MaxText || !utf8.ValidString(l.Query) {
		return errNowhere
	}
	keys, next, err := v.service.Keys(v.context(), v.workspace.ID, store.Filter{
		Owner: v.session.Owner, Query: l.Query, Status: store.Status(l.Status), After: after, Limit: onPage,
	})
	if err != nil {
		return err
	}
	if next != uuid.Nil {
		l.Next = query("q", l.Query, "status", l.Status, "after", next.String())
	}
	if l.Full, err = v.full(); err != nil {
		return err
	}
	l.Keys = v.showAll(keys)
	if l.First && !l.Filtered() {
		if l.Expiring, err = v.expiring(); err != nil {
			return err
		}
	}
	return v.render(http.StatusOK, "list", "keys.title", l)
}

// sought returns the id or kid in a search text without its surroundings, or the text.
func sought(text string) string {
	if name, ok := authz.NameIn(text); ok {
		return name
	}
	return text
}

// expiring returns those of the newest keys that expire soon, the first of them first.
func (v *visit) expiring() (soon []shownKey, err error) {
	err = v.newest(store.Active, func(k store.Key) {
		k.Claims, k.Metadata = nil, nil // large, and not shown
		if shown := v.show(k); shown.Soon {
			soon = append(soon, shown)
		}
	})
	slices.SortFunc(soon, func(a, b shownKey) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	return soon, err
}

// newest calls look for the owner's newest keys with a status (or any), the latest first. It
// reads several lists if one ends at its limit of bytes.
func (v *visit) newest(status store.Status, look func(store.Key)) error {
	f := store.Filter{Owner: v.session.Owner, Status: status, Limit: lookedAt}
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
