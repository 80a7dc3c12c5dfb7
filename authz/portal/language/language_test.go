package language

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/feature/plural"
)

// catalogues reads the portal's catalogues.
func catalogues(t *testing.T) *Languages {
	t.Helper()
	l, err := Read(os.DirFS("../catalogue"), "en", "de")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// base returns a message's key without the suffix for a plural form.
func base(key string) string {
	for _, form := range forms {
		if before, ok := strings.CutSuffix(key, form); ok {
			return before
		}
	}
	return key
}

// general reports whether the key's message must have all placeholders. Other plural forms may spell {n}
// out.
func general(key string) bool { return base(key) == key || strings.HasSuffix(key, ".other") }

func TestCataloguesSayTheSame(t *testing.T) {
	l := catalogues(t)
	first := l.All[0]
	holes := func(text string) string {
		found := placeholder.FindAllString(text, -1)
		slices.Sort(found)
		return strings.Join(found, "")
	}
	for _, one := range l.All {
		has, wants := map[string]string{}, map[string]string{}
		for key, text := range one.messages {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is empty", one.Code, key)
			}
			if general(key) {
				has[base(key)] = holes(text)
			}
		}
		for key, text := range first.messages {
			if general(key) {
				wants[base(key)] = holes(text)
			}
		}
		if !maps.Equal(has, wants) {
			for key := range maps.Keys(wants) {
				if text, ok := has[key]; !ok || text != wants[key] {
					t.Errorf("%s: %s has %q, want %q", one.Code, key, text, wants[key])
				}
			}
			for key := range has {
				if _, ok := wants[key]; !ok {
					t.Errorf("%s: %s is not in %s", one.Code, key, first.Code)
				}
			}
		}
	}
}

// In each language, every counted message has all plural forms that the language uses.
func TestPlurals(t *testing.T) {
	for _, one := range catalogues(t).All {
		for key := range one.messages {
			stem, ok := strings.CutSuffix(key, ".other")
			if !ok {
				continue
			}
			for n := range 120 {
				form := forms[plural.Cardinal.MatchPlural(one.tag, n, 0, 0, 0, 0)]
				if _, ok := one.messages[stem+form]; !ok {
					t.Fatalf("%s: %s%s for %d is missing", one.Code, stem, form, n)
				}
			}
		}
	}
}

func TestTimes(t *testing.T) {
	l := catalogues(t)
	english, german := l.Named("en"), l.Named("de")
	at := time.Date(2026, 3, 4, 23, 5, 0, 0, time.FixedZone("", -7200))
	for got, want := range map[string]string{
		english.date(at): "5 March 2026", german.date(at): "5. März 2026",
		english.Moment(at): "5 March 2026, 01:05 UTC", german.Moment(at): "5. März 2026, 01:05 Uhr UTC",
		english.Until(-time.Second): "now", english.Until(59 * time.Second): "in less than a minute",
		english.Until(time.Minute): "in 1 minute", english.Until(90 * time.Minute): "in 90 minutes",
		english.Until(time.Hour): "in 1 hour", english.Until(47*time.Hour + time.Minute): "in 47 hours",
		english.Until(90*day - time.Second): "in 90 days", english.Until(89*day + 11*time.Hour): "in 89 days",
		english.Until(day - time.Second): "in 1 day", english.Until(time.Hour - time.Second): "in 1 hour",
		english.Until(90*time.Second - 1): "in 1 minute",
		english.Until(day):                "in 1 day", german.Until(12*day + time.Hour): "in 12 Tagen", german.Until(day): "in 1 Tag",
		english.Ago(-time.Hour): "less than a minute ago", german.Ago(59 * time.Second): "vor weniger als einer Minute",
		english.Ago(time.Minute): "1 minute ago", english.Ago(90 * time.Minute): "90 minutes ago", german.Ago(3*day + time.Hour): "vor 3 Tagen",
		english.Life(time.Second): "1 second", english.Life(90 * day): "90 days", english.Life(36 * time.Hour): "36 hours",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
