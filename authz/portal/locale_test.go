package portal

import (
	"encoding/json"
	"io/fs"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/store"
)

func messagesIn(t *testing.T, code string) (messages map[string]string) {
	t.Helper()
	text, err := catalogueFiles.ReadFile("catalogue/" + code + ".json")
	if err == nil {
		err = json.Unmarshal(text, &messages)
	}
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// base returns a message's key without its plural suffix.
func base(key string) string {
	for _, form := range []string{".other", ".zero", ".one", ".two", ".few", ".many"} {
		if before, ok := strings.CutSuffix(key, form); ok {
			return before
		}
	}
	return key
}

var (
	asked = regexp.MustCompile(`(?:\.T|\.N|\.Text|\.Count|wrong\("[a-z]*",) ?\(?"([a-z.0-9]+)"`)
	words = regexp.MustCompile(`\p{L}{2,}`)
)

// Every message that a template or the code refers to exists, and every message is used.
func TestEveryMessageIsThereAndUsed(t *testing.T) {
	t.Parallel()
	messages := messagesIn(t, "en")
	used := map[string]bool{}
	var source strings.Builder
	for _, dir := range []string{".", "language", "templates", "templates/shared"} {
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
	for _, prefix := range []string{
		"action.", "who.", "status.", "month.", "fail.", "until.", "ago.", "life.",
		"column.", "many.action.", "many.value.", "done.", "fault.", "actor.", "result.", "unit.", "change.", "limit.", "limited.", "request.",
	} {
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

// Every value that another package defines and pages show, such as a status, has a message.
func TestEveryWordIsThere(t *testing.T) {
	t.Parallel()
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
	for _, status := range []store.Status{store.Active, store.Deprecated, store.Suspended, store.Revoked, store.Expired} {
		keys = append(keys, "status."+string(status))
	}
	for _, result := range []string{store.ResultOK, store.ResultRefused} {
		keys = append(keys, "result."+result)
	}
	for _, code := range []string{"en", "de"} {
		messages := messagesIn(t, code)
		for _, key := range keys {
			if messages[key] == "" {
				t.Errorf("%s: %s is missing", code, key)
			}
		}
	}
}

// Templates contain no literal text, since it would not be translated.
func TestTemplatesHaveNoText(t *testing.T) {
	t.Parallel()
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	code := regexp.MustCompile(`(?s)<code.*?</code>`)
	tags := regexp.MustCompile(`(?s)<[^>]*>`)
	spoken := regexp.MustCompile(`\s(?:aria-label|title|alt|placeholder|` +
		`data-(?:done|failed|busy|dialog|cancel|waiting|live-text|gone-text))="([^"]*)"`)
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
	t.Parallel()
	l, err := readLanguages()
	if err != nil {
		t.Fatal(err)
	}
	p := &portal{languages: l}
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
		if got := p.languageOf(r).Code; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
