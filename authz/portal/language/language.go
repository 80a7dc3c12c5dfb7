// Package language chooses the reader's language, and formats messages, numbers, times and durations in
// it.
package language

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/text/feature/plural"
	bcp47 "golang.org/x/text/language"
	"golang.org/x/text/unicode/bidi"
)

// Languages are the available languages.
type Languages struct {
	All     []*Language
	matcher bcp47.Matcher
}

// Language is a catalogue of messages.
type Language struct {
	Code     string // RFC 5646
	tag      bcp47.Tag
	messages map[string]string
}

// Read reads the message catalogues in the files CODE.json. The first language is the default.
func Read(files fs.FS, codes ...string) (*Languages, error) {
	var l Languages
	var tags []bcp47.Tag
	for _, code := range codes {
		text, err := fs.ReadFile(files, code+".json")
		if err != nil {
			return nil, err
		}
		one := &Language{Code: code, tag: bcp47.Make(code)}
		if err := json.Unmarshal(text, &one.messages); err != nil {
			return nil, fmt.Errorf("read the messages in %s: %w", code, err)
		}
		l.All, tags = append(l.All, one), append(tags, one.tag)
	}
	l.matcher = bcp47.NewMatcher(tags)
	return &l, nil
}

// Named returns the language with this code, or nil.
func (l *Languages) Named(code string) *Language {
	for _, one := range l.All {
		if one.Code == code {
			return one
		}
	}
	return nil
}

// Match returns the language that best matches an Accept-Language header field (RFC 9110 section 12.5.4).
func (l *Languages) Match(accept string) *Language {
	wanted, _, err := bcp47.ParseAcceptLanguage(accept)
	if err != nil {
		return l.All[0]
	}
	_, index, _ := l.matcher.Match(wanted...)
	return l.All[index]
}

// Own is the language's own name.
func (l *Language) Own() string { return l.Text("language") }

// Has reports whether there is a message.
func (l *Language) Has(key string) bool { return l.messages[key] != "" }

// Text returns a message. The pairs are names of placeholders and the values that replace them.
func (l *Language) Text(key string, pairs ...any) string {
	message, ok := l.messages[key]
	if !ok {
		return key // a test checks that no message is missing
	}
	places := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		places = append(places, fmt.Sprintf("{%v}", pairs[i]), isolated(fmt.Sprint(pairs[i+1])))
	}
	return strings.NewReplacer(places...).Replace(message) // in one pass, so that values are not searched for placeholders
}

// isolated wraps right-to-left text so that it does not reorder the surrounding message (UAX #9 section
// 2.4). HTML's bdi element can't be used inside a message.
func isolated(text string) string {
	turns := func(r rune) bool {
		p, _ := bidi.LookupRune(r)
		return p.Class() == bidi.R || p.Class() == bidi.AL || p.Class() == bidi.AN
	}
	if !strings.ContainsFunc(text, turns) {
		return text
	}
	return "\u2068" + text + "\u2069"
}

// forms maps each plural form (CLDR) to the suffix of its message keys.
var forms = map[plural.Form]string{
	plural.Other: ".other", plural.Zero: ".zero", plural.One: ".one", plural.Two: ".two", plural.Few: ".few", plural.Many: ".many",
}

// Count returns the message in the plural form for n, which replaces {n}.
func (l *Language) Count(key string, n int, pairs ...any) string {
	form := plural.Cardinal.MatchPlural(l.tag, n, 0, 0, 0, 0)
	return l.Text(key+forms[form], append([]any{"n", n}, pairs...)...)
}
