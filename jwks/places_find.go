package jwks

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// A HeaderField is one header of a request.
type HeaderField struct{ Name, Value string }

// Fields appends the headers of a request that Find needs.
func (p Places) Fields(to []HeaderField, header http.Header) []HeaderField {
	for i, place := range p.All() {
		name := place.Header()
		if name == "" || name == "Authorization" && p.hasAuthorization(i) {
			continue
		}
		for _, value := range header.Values(name) {
			to = append(to, HeaderField{name, value})
		}
	}
	return to
}

// hasAuthorization reports whether one of the first n places is in the header Authorization.
func (p Places) hasAuthorization(n int) bool {
	for _, place := range p.All()[:n] {
		if place.Form != InHeader && place.Form != InQuery {
			return true
		}
	}
	return false
}

// Found is the key that a request contains.
type Found struct {
	// Key is the text as it was sent. Nothing of it is verified.
	Key string

	held uint8 // bit i: Places.All()[i] contains it
}

// In reports whether place number i of Places.All contains the key.
func (f Found) In(i int) bool { return f.held&(1<<i) != 0 }

// Find returns the key in the headers and the query of a request. The headers must contain every one that
// HeaderNames names; a proxy may join repeated ones with commas. The same key in several places is one key; two
// different keys are refused. A value in a place that p does not contain is ignored, and so is an empty one.
func (p Places) Find(headers []HeaderField, query string) (Found, *Refusal) {
	var f Found
	for i, place := range p.All() {
		if no := place.read(&f, 1<<i, headers, query); no != nil {
			return Found{}, no
		}
	}
	if f.held == 0 {
		return f, NoToken
	}
	return f, nil
}

// add adds a key that was found.
func (f *Found) add(text string, bit uint8) *Refusal {
	if f.held != 0 && f.Key != text {
		return TwoKeys
	}
	f.Key, f.held = text, f.held|bit
	return nil
}

func (p Place) read(f *Found, bit uint8, headers []HeaderField, query string) *Refusal {
	switch p.Form {
	case InHeader:
		return readHeaderPlace(f, bit, p.Name, headers)
	case InQuery:
		return readQuery(f, bit, p.Name, query)
	}
	value, no := authorization(headers)
	if no != nil {
		return no
	}
	if p.Form == InBasic {
		return readBasic(f, bit, value)
	}
	key, no := schemeKey(p.Form, value)
	if no == NoToken {
		return nil
	}
	if no != nil {
		return no
	}
	return f.add(key, bit)
}

// authorization returns the value of the only header Authorization, or "".
func authorization(headers []HeaderField) (value string, no *Refusal) {
	seen := false
	for i := range headers {
		if !strings.EqualFold(headers[i].Name, "Authorization") {
			continue
		}
		if seen {
			return "", BadToken
		}
		value, seen = headers[i].Value, true
	}
	return value, nil
}

// readHeaderPlace reads the key from a header other than Authorization. It splits values at commas, since proxies join repeated
// headers with commas, and no key contains one.
func readHeaderPlace(f *Found, bit uint8, name string, headers []HeaderField) *Refusal {
	for i := range headers {
		if !strings.EqualFold(headers[i].Name, name) {
			continue
		}
		for rest, more := headers[i].Value, true; more; {
			var part string
			part, rest, more = strings.Cut(rest, ",")
			if part = strings.Trim(part, " \t"); part == "" {
				continue
			}
			if no := f.add(part, bit); no != nil {
				return no
			}
		}
	}
	return nil
}

// maxBasic is the maximum length of the base64 in Basic credentials: a key as user name, and again as password.
const maxBasic = (2*MaxTokenLen + 3) / 3 * 4

// readBasic reads Basic credentials (RFC 7617). A part that contains no key, such as the id of the key's owner, is
// ignored.
func readBasic(f *Found, bit uint8, value string) *Refusal {
	scheme, text, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return nil
	}
	text = strings.TrimRight(strings.TrimLeft(text, " "), "=")
	if len(text) > maxBasic {
		return malformed
	}
	pair, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return BadBasic
	}
	user, password, _ := strings.Cut(string(pair), ":")
	for _, part := range [...]string{user, password} {
		if !strings.Contains(part, TokenPrefix) {
			continue
		}
		if no := f.add(part, bit); no != nil {
			return no
		}
	}
	return nil
}

// MaxParameters is the maximum number of parameters in a query from which a key is read.
const MaxParameters = 1000

// readQuery reads a query parameter (application/x-www-form-urlencoded).
func readQuery(f *Found, bit uint8, name, query string) *Refusal {
	if strings.Count(query, "&") >= MaxParameters {
		return BadQuery
	}
	for rest, more := query, query != ""; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		if value == "" || !isParameter(key, name) {
			continue
		}
		if len(value) > 3*MaxTokenLen {
			return malformed
		}
		text, err := url.QueryUnescape(value)
		if err != nil {
			return BadQuery
		}
		if no := f.add(text, bit); no != nil {
			return no
		}
	}
	return nil
}

// isParameter reports whether the name of a parameter, as it was sent, is name. An API would decode it.
func isParameter(sent, name string) bool {
	if !strings.Contains(sent, "%") {
		return sent == name
	}
	plain, err := url.QueryUnescape(sent)
	return err == nil && plain == name
}

// StripQuery returns a query without the parameters from which a key is read. The rest is unchanged.
func (p Places) StripQuery(query string) string {
	for _, place := range p.All() {
		if place.Form == InQuery {
			query = stripParameter(query, place.Name)
		}
	}
	return query
}

func stripParameter(query, name string) string {
	if query == "" {
		return ""
	}
	var kept []string
	parts := strings.Split(query, "&")
	for _, pair := range parts {
		if key, _, _ := strings.Cut(pair, "="); !isParameter(key, name) {
			kept = append(kept, pair)
		}
	}
	if len(kept) == len(parts) {
		return query
	}
	return strings.Join(kept, "&")
}

// StripTarget returns a path and query without the parameters from which a key is read.
func (p Places) StripTarget(target string) string {
	path, query, found := strings.Cut(target, "?")
	rest := p.StripQuery(query)
	switch {
	case !found || rest == query:
		return target
	case rest == "":
		return path
	}
	return path + "?" + rest
}

// HeadersWith returns the names of the headers that contain the key, each once.
func (p Places) HeadersWith(f Found) []string {
	var held Places
	for i, place := range p.All() {
		if f.In(i) {
			held.list = append(held.list, place)
		}
	}
	if held.list == nil {
		return nil
	}
	return held.HeaderNames()
}
