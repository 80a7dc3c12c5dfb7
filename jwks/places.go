package jwks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Place is a place of a request from which a key may be read.
type Place struct {
	// Form is one of the constants below.
	Form string
	// Name is the name of the header or of the query parameter, for these two forms.
	Name string
}

// Forms of a Place.
const (
	InBearer = "bearer" // Authorization: Bearer KEY
	InAPIKey = "apikey" // Authorization: ApiKey KEY
	InBasic  = "basic"  // Authorization: Basic, with the key as user name or password
	InHeader = "header" // a header of its own, such as X-API-Key: KEY
	InQuery  = "query"  // a query parameter, which ends up in logs and histories
)

// String returns the place in the form that ParsePlaces reads.
func (p Place) String() string {
	if p.Name == "" {
		return p.Form
	}
	return p.Form + ":" + p.Name
}

// Header returns the name of the header that this place belongs to, or "" for the query.
func (p Place) Header() string {
	switch p.Form {
	case InHeader:
		return p.Name
	case InQuery:
		return ""
	}
	return "Authorization"
}

// Schemes returns the schemes of Authorization by which a client can send a key, in the order of the places, for
// WWW-Authenticate (RFC 9110 section 11.6.1). Other headers and the query have no scheme. If there is no other place, the
// result is Bearer, since a 401 must name a scheme.
func (p Places) Schemes() []string {
	var schemes []string
	for _, place := range p.All() {
		if scheme := schemeNames[place.Form]; scheme != "" {
			schemes = append(schemes, scheme)
		}
	}
	if schemes == nil {
		return []string{schemeNames[InBearer]}
	}
	return schemes
}

var schemeNames = map[string]string{InBearer: "Bearer", InAPIKey: "ApiKey", InBasic: "Basic"}

// MaxPlaces is the maximum number of Places.
const MaxPlaces = 8

// Places are the places of a request from which a key may be read. The zero value is InBearer alone. Places never
// change.
type Places struct{ list []Place }

var onlyBearer = []Place{{Form: InBearer}}

// All returns the places in the order in which they were given. Do not change them.
func (p Places) All() []Place {
	if p.list == nil {
		return onlyBearer
	}
	return p.list
}

// OnlyBearer reports whether the header Authorization with the scheme Bearer is the only place.
func (p Places) OnlyBearer() bool { return len(p.All()) == 1 && p.All()[0].Form == InBearer }

// String returns the places, separated by commas.
func (p Places) String() string {
	texts := make([]string, len(p.All()))
	for i, place := range p.All() {
		texts[i] = place.String()
	}
	return strings.Join(texts, ",")
}

// HeaderNames returns the names of the headers that Find needs, each once.
func (p Places) HeaderNames() []string {
	var names []string
	for _, place := range p.All() {
		if name := place.Header(); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// QueryNames returns the names of the query parameters that Find reads.
func (p Places) QueryNames() []string {
	var names []string
	for _, place := range p.All() {
		if place.Form == InQuery {
			names = append(names, place.Name)
		}
	}
	return names
}

// ParsePlaces reads places: bearer, apikey, basic, header:NAME and query:NAME. Without any, it returns the zero Places.
func ParsePlaces(texts ...string) (Places, error) {
	if len(texts) > MaxPlaces {
		return Places{}, fmt.Errorf("must be at most %d places, not %d", MaxPlaces, len(texts))
	}
	var p Places
	for _, text := range texts {
		place, err := parsePlace(text)
		if err != nil {
			return Places{}, err
		}
		if slices.ContainsFunc(p.list, place.same) {
			return Places{}, fmt.Errorf("%q is given twice", text)
		}
		p.list = append(p.list, place)
	}
	return p, nil
}

func parsePlace(text string) (Place, error) {
	form, name, named := strings.Cut(text, ":")
	switch form {
	case InBearer, InAPIKey, InBasic:
		if named {
			return Place{}, fmt.Errorf("%s has no name, but %q names one", form, text)
		}
		return Place{Form: form}, nil
	case InHeader:
		return Place{form, name}, checkHeaderName(name)
	case InQuery:
		if !queryName.MatchString(name) {
			return Place{}, fmt.Errorf("the name of a query parameter must match %s, which %q does not", queryName, name)
		}
		return Place{form, name}, nil
	}
	return Place{}, fmt.Errorf("must be bearer, apikey, basic, header:NAME or query:NAME, not %q", text)
}

var (
	// Proxies drop or refuse other names, also those with an underscore.
	headerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)
	queryName  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	// Headers with a meaning of their own, and those that gateways remove or write.
	ownHeader = regexp.MustCompile(`(?i)^(authorization|connection|content-.*|cookie|date|expect|host|keep-alive|proxy-.*|` +
		`te|trailer|traceparent|tracestate|transfer-encoding|upgrade|via|x-burnkey-.*|x-envoy-.*|x-forwarded-.*|x-request-id)$`)
)

func checkHeaderName(name string) error {
	if !headerName.MatchString(name) {
		return fmt.Errorf("the name of a header must match %s, which %q does not", headerName, name)
	}
	if ownHeader.MatchString(name) {
		return fmt.Errorf("the header %s cannot hold a key: it has another meaning", name)
	}
	return nil
}

// same compares places. The names of headers are case-insensitive.
func (p Place) same(other Place) bool {
	return p == other || p.Form == InHeader && other.Form == InHeader && strings.EqualFold(p.Name, other.Name)
}
