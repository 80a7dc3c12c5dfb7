package portal

import (
	"io/fs"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/feature/plural"

	"github.com/burnkey/burnkey/store"
)

func catalogues(t *testing.T) *languages {
	t.Helper()
	l, err := readLanguages()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// base is a message's key without its plural form.
func base(key string) string {
	for _, form := range forms {
		if before, ok := strings.CutSuffix(key, form); ok {
			return before
		}
	}
	return key
}

// general is a message that has no plural forms, or the most general of them: others may say the number in a word.
func general(key string) bool { return base(key) == key || strings.HasSuffix(key, ".other") }

func TestCataloguesSayTheSame(t *testing.T) {
	l := catalogues(t)
	first := l.all[0]
	holes := func(text string) string {
		found := placeholder.FindAllString(text, -1)
		slices.Sort(found)
		return strings.Join(found, "")
	}
	for _, one := range l.all {
		has, wants := map[string]string{}, map[string]string{}
		for key, text := range one.messages {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is empty", one.code, key)
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
					t.Errorf("%s: %s has %q, want %q", one.code, key, text, wants[key])
				}
			}
			for key := range has {
				if _, ok := wants[key]; !ok {
					t.Errorf("%s: %s is not in %s", one.code, key, first.code)
				}
			}
		}
	}
}

// Each number finds its plural form, whichever forms a language has.
func TestPlurals(t *testing.T) {
	for _, one := range catalogues(t).all {
		for key := range one.messages {
			stem, ok := strings.CutSuffix(key, ".other")
			if !ok {
				continue
			}
			for n := range 120 {
				form := forms[plural.Cardinal.MatchPlural(one.tag, n, 0, 0, 0, 0)]
				if _, ok := one.messages[stem+form]; !ok {
					t.Fatalf("%s: %s%s for %d is missing", one.code, stem, form, n)
				}
			}
		}
	}
}

var (
	asked = regexp.MustCompile(`(?:\.T|\.N|\.text|\.count|wrong\("[a-z]*",) ?\(?"([a-z.0-9]+)"`)
	words = regexp.MustCompile(`\p{L}{2,}`)
)

// Every message that a template or the code asks for by its name is there, and none is
// there in vain.
func TestEveryMessageIsThereAndUsed(t *testing.T) {
	messages := catalogues(t).all[0].messages
	used := map[string]bool{}
	var source strings.Builder
	for _, dir := range []string{".", "templates", "templates/shared"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if file.IsDir() || strings.HasSuffix(file.Name(), "_test.go") {
				continue
			}
			text, err := os.ReadFile(dir + "/" + file.Name())
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	for _, m := range asked.FindAllStringSubmatch(source.String(), -1) {
		used[m[1]] = true
	}
	for _, prefix := range []string{"action.", "who.", "status.", "environment.", "month.", "fail.", "until.", "ago.", "life.", "done.", "fault.", "actor.", "result.", "unit."} {
		for key := range messages {
			if strings.HasPrefix(key, prefix) {
				used[base(key)] = true
			}
		}
	}
	known := map[string]bool{}
	for key := range messages {
		known[base(key)] = true
	}
	for key := range used {
		if !known[key] && !strings.HasSuffix(key, ".") {
			t.Errorf("%q is asked for and is no message", key)
		}
	}
	for key := range known {
		if !used[key] && !strings.Contains(source.String(), `"`+key+`"`) {
			t.Errorf("%q is a message that nobody asks for", key)
		}
	}
}

// What is put together from a word of another package's is there, too.
func TestEveryWordIsThere(t *testing.T) {
	text, err := os.ReadFile("../../store/audit.go")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, m := range regexp.MustCompile(`Action\w+ += "([a-z.]+)"`).FindAllStringSubmatch(string(text), -1) {
		keys = append(keys, "action."+m[1])
		if !slices.Contains(store.Actions(), m[1]) {
			t.Errorf("%s can't be looked for", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`Actor\w+ += "([a-z.]+)"`).FindAllStringSubmatch(string(text), -1) {
		keys = append(keys, "who."+m[1], "actor."+m[1])
	}
	if len(keys) < 15 {
		t.Fatalf("found only %q", keys)
	}
	for _, status := range []store.Status{store.Active, store.Deprecated, store.Revoked, store.Expired} {
		keys = append(keys, "status."+string(status))
	}
	for _, result := range []string{store.ResultOK, store.ResultRefused} {
		keys = append(keys, "result."+result)
	}
	for _, environment := range environments {
		keys = append(keys, "environment."+environment)
	}
	for _, one := range catalogues(t).all {
		for _, key := range keys {
			if one.messages[key] == "" {
				t.Errorf("%s: %s is missing", one.code, key)
			}
		}
	}
}

// No template has text of its own: it would be in one language.
func TestTemplatesHaveNoText(t *testing.T) {
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	code := regexp.MustCompile(`(?s)<code.*?</code>`)
	tags := regexp.MustCompile(`(?s)<[^>]*>`)
	spoken := regexp.MustCompile(`\s(?:aria-label|title|alt|placeholder|data-(?:done|failed|busy|dialog|cancel|waiting|live-text|gone-text))="([^"]*)"`)
	err := fs.WalkDir(templateFiles, "templates", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := templateFiles.ReadFile(path)
		if err != nil {
			return err
		}
		page := action.ReplaceAllString(string(text), "")
		if found := words.FindAllString(tags.ReplaceAllString(code.ReplaceAllString(page, ""), ""), -1); len(found) > 0 {
			t.Errorf("%s: has the words %q", path, found)
		}
		for _, m := range spoken.FindAllStringSubmatch(page, -1) {
			if words.MatchString(m[1]) {
				t.Errorf("%s: has %q", path, m[0])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhichLanguage(t *testing.T) {
	l := catalogues(t)
	for _, c := range []struct{ query, cookie, header, want string }{
		{"", "", "", "en"},
		{"", "", "de", "de"},
		{"", "", "de-AT,en;q=0.5", "de"},
		{"", "", "fr,de;q=0.3,en;q=0.8", "en"},
		{"", "", "fr", "en"},
		{"", "", "*", "en"},
		{"", "", "gsw, de;q=0.1", "de"},
		{"", "", strings.Repeat("x", 99) + ";;;=", "en"},
		{"", "de", "en", "de"},
		{"", "xx", "de", "de"},
		{"en", "de", "de", "en"},
		{"xx", "", "de", "de"},
	} {
		r := httptest.NewRequest("GET", "/?lang="+c.query, nil)
		if c.header != "" {
			r.Header.Set("Accept-Language", c.header)
		}
		if c.cookie != "" {
			r.Header.Set("Cookie", languageCookie+"="+c.cookie)
		}
		if got := l.of(r).code; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestTimes(t *testing.T) {
	l := catalogues(t)
	english, german := l.named("en"), l.named("de")
	at := time.Date(2026, 3, 4, 23, 5, 0, 0, time.FixedZone("", -7200))
	for got, want := range map[string]string{
		english.date(at): "5 March 2026", german.date(at): "5. März 2026",
		english.moment(at): "5 March 2026, 01:05 UTC", german.moment(at): "5. März 2026, 01:05 Uhr UTC",
		english.until(-time.Second): "now", english.until(59 * time.Second): "in less than a minute",
		english.until(time.Minute): "in 1 minute", english.until(90 * time.Minute): "in 90 minutes",
		english.until(time.Hour): "in 1 hour", english.until(47*time.Hour + time.Minute): "in 47 hours",
		english.until(90*day - time.Second): "in 90 days", english.until(89*day + 11*time.Hour): "in 89 days",
		english.until(day - time.Second): "in 1 day", english.until(time.Hour - time.Second): "in 1 hour", english.until(90*time.Second - 1): "in 1 minute",
		english.until(day): "in 1 day", german.until(12*day + time.Hour): "in 12 Tagen", german.until(day): "in 1 Tag",
		english.ago(-time.Hour): "less than a minute ago", german.ago(59 * time.Second): "vor weniger als einer Minute",
		english.ago(time.Minute): "1 minute ago", english.ago(90 * time.Minute): "90 minutes ago", german.ago(3*day + time.Hour): "vor 3 Tagen",
		english.life(time.Second): "1 second", english.life(90 * day): "90 days", english.life(36 * time.Hour): "36 hours",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
