package portal

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const (
	onPage = 25 // keys
	// lookedAt is how many keys the notice of those that expire soon is taken from, and
	// what a search reads at once.
	lookedAt = 500
	// pagesRead bounds a search for what is the owner's own id, too.
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
		s.Name = v.language.text("key.unnamed", "id", s.Short)
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
	query := v.r.URL.Query()
	l := &keyList{
		Query: sought(strings.TrimSpace(query.Get("q"))), Status: query.Get("status"),
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
	keys, err := v.find(store.Filter{Owner: v.session.Owner, Query: l.Query, Status: store.Status(l.Status), After: after})
	if err != nil {
		return err
	}
	if len(keys) > onPage {
		next := url.Values{"after": {keys[onPage-1].ID.String()}}
		if l.Query != "" {
			next.Set("q", l.Query)
		}
		if l.Status != "" {
			next.Set("status", l.Status)
		}
		l.Next = "?" + next.Encode()
	}
	if l.Full, err = v.full(); err != nil {
		return err
	}
	l.Keys = v.showAll(keys[:min(len(keys), onPage)])
	if l.First && !l.Filtered() {
		l.Expiring = v.expiring(keys)
	}
	return v.render(http.StatusOK, "list", "keys.title", l)
}

// sought is what a search is for: an id or a kid without what surrounds it, if there is one.
func sought(text string) string {
	if name, ok := authz.NameIn(text); ok {
		return name
	}
	return text
}

// find returns the keys of one page and those behind it, if there are any. What is
// found by the owner's own id alone is not what an owner looks for.
func (v *visit) find(f store.Filter) (found []store.Key, err error) {
	f.Limit = lookedAt
	for range pagesRead {
		keys, err := v.service.Keys(v.r.Context(), v.workspace.ID, f)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if v.owns(&k) && matches(&k, f.Query) {
				found = append(found, k)
			}
		}
		if len(keys) < f.Limit || len(found) > onPage {
			break
		}
		f.After = keys[len(keys)-1].ID
	}
	return found, nil
}

func matches(k *store.Key, query string) bool {
	return query == "" || strings.Contains(strings.ToLower(k.Name), strings.ToLower(query)) ||
		k.ID.String() == strings.ToLower(query) || k.KID.String() == query
}

// expiring returns those of the newest keys that expire soon, the first of them first.
func (v *visit) expiring(keys []store.Key) []shownKey {
	soon := slices.DeleteFunc(v.showAll(keys), func(k shownKey) bool { return !k.Soon })
	slices.SortFunc(soon, func(a, b shownKey) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	return soon
}
