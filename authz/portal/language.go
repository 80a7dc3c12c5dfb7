package portal

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	bcp47 "golang.org/x/text/language"
	"golang.org/x/text/unicode/bidi"
)

//go:embed catalogue
var catalogueFiles embed.FS

// codes are the languages that there are, the first for those who want none of them.
var codes = []string{"en", "de"}

// languageCookie stores the chosen language. It holds no secret, and its name can't be that of
// a workspace's cookie: see sessionPrefix.
const languageCookie = "__Host-burnkey_lang"

type languages struct {
	all     []*language
	matcher bcp47.Matcher
}

// language is a catalogue of messages.
type language struct {
	code     string
	tag      bcp47.Tag
	messages map[string]string
}

func readLanguages() (*languages, error) {
	var l languages
	var tags []bcp47.Tag
	for _, code := range codes {
		text, err := catalogueFiles.ReadFile("catalogue/" + code + ".json")
		if err != nil {
			return nil, err
		}
		one := &language{code: code, tag: bcp47.Make(code)}
		if err := json.Unmarshal(text, &one.messages); err != nil {
			return nil, fmt.Errorf("read the messages in %s: %w", code, err)
		}
		l.all, tags = append(l.all, one), append(tags, one.tag)
	}
	l.matcher = bcp47.NewMatcher(tags)
	return &l, nil
}

// of is the language that is asked for: by the query, by what was chosen before, or by
// the browser's settings (RFC 9110 section 12.5.4).
func (l *languages) of(r *http.Request) *language {
	if one := l.named(r.URL.Query().Get("lang")); one != nil {
		return one
	}
	if c, err := r.Cookie(languageCookie); err == nil {
		if one := l.named(c.Value); one != nil {
			return one
		}
	}
	wanted, _, err := bcp47.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil {
		return l.all[0]
	}
	_, index, _ := l.matcher.Match(wanted...)
	return l.all[index]
}

func (l *languages) named(code string) *language {
	for _, one := range l.all {
		if one.code == code {
			return one
		}
	}
	return nil
}

// remember keeps the language that was asked for by the query.
func (v *visit) remember() {
	if v.languages.named(v.r.URL.Query().Get("lang")) == nil {
		return
	}
	c := sessionCookie(languageCookie, v.language.code, v.session.Embedded)
	c.MaxAge = int((365 * 24 * time.Hour).Seconds())
	http.SetCookie(v.w, c)
}

// Code and Own are the language's code and its own name, for those who choose.
func (l *language) Code() string { return l.code }
func (l *language) Own() string  { return l.text("language") }

// text is a message. Of the pairs, each first is put where the message has it in
// braces the second.
func (l *language) text(key string, pairs ...any) string {
	message, ok := l.messages[key]
	if !ok {
		return key // a test sees to it that there is none
	}
	places := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		places = append(places, fmt.Sprintf("{%v}", pairs[i]), isolated(fmt.Sprint(pairs[i+1])))
	}
	return strings.NewReplacer(places...).Replace(message) // at once: what is put in is no place
}

// isolated keeps text that is read from the right to the left from turning around what
// stands beside it in a message (UAX #9, section 2.4), where HTML's bdi can't be.
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

// forms are the keys' endings by plural form (CLDR).
var forms = map[plural.Form]string{
	plural.Other: ".other", plural.Zero: ".zero", plural.One: ".one", plural.Two: ".two", plural.Few: ".few", plural.Many: ".many",
}

// count is the message of a number's plural form, with the number for {n}.
func (l *language) count(key string, n int, pairs ...any) string {
	form := plural.Cardinal.MatchPlural(l.tag, n, 0, 0, 0, 0)
	return l.text(key+forms[form], append([]any{"n", n}, pairs...)...)
}

// day formats a date in UTC and names the time zone.
func (l *language) day(t time.Time) string { return l.text("day", "date", l.date(t)) }

// date is a day in UTC.
func (l *language) date(t time.Time) string {
	t = t.UTC()
	month := l.text("month." + strconv.Itoa(int(t.Month())))
	return l.text("date", "day", t.Day(), "month", month, "year", t.Year())
}

// moment is a time in UTC.
func (l *language) moment(t time.Time) string {
	return l.text("moment", "date", l.date(t), "time", t.UTC().Format("15:04"))
}

// until says how far off something is, rounded as the command line does: a key that was
// made a moment ago for 90 days has 90 days.
func (l *language) until(d time.Duration) string {
	unit := day
	switch {
	case d <= 0:
		return l.text("until.past")
	case d < time.Minute:
		return l.text("until.soon")
	case d < 2*time.Hour:
		unit = time.Minute
	case d < 2*day:
		unit = time.Hour
	}
	return l.count(roughly("until.", d.Round(unit)))
}

// life says how long something lasts.
func (l *language) life(d time.Duration) string {
	if d < time.Minute {
		return l.count("life.seconds", int(d/time.Second))
	}
	return l.count(roughly("life.", d))
}

const day = 24 * time.Hour

// roughly is a duration in the largest unit of which there are two or that fits.
func roughly(prefix string, d time.Duration) (key string, n int) {
	switch {
	case d >= 2*day || d%day == 0:
		return prefix + "days", int(d / day)
	case d >= 2*time.Hour || d%time.Hour == 0:
		return prefix + "hours", int(d / time.Hour)
	}
	return prefix + "minutes", int(d / time.Minute)
}
