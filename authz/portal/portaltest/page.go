package portaltest

import (
	"maps"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Page is a browser's page, or a frame in it. A method that does not succeed within 15 seconds fails
// the test.
//
// A target is a Playwright selector: CSS, or the result of Role or Label. Methods wait for the
// element, and fail if two elements match, unless they say otherwise.
type Page struct {
	t      testing.TB
	id     int
	frames []string
}

type request map[string]any

// Role selects by ARIA role and the whole accessible name.
func Role(role, name string) string { return "role=" + role + "[name=" + strconv.Quote(name) + "s]" }

// Label selects a form field by the whole text of its label.
func Label(text string) string { return "label=" + text }

func (p *Page) ask(r request, result any) {
	if err := p.try(r, result); err != nil {
		p.t.Fatalf("%s: %s %s%v: %v", caller(), r["do"], strings.Join(p.frames, " "), r["target"], err)
	}
}

// caller returns the line of the test, so that methods need no t.Helper.
func caller() string {
	for skip := 2; ; skip++ {
		_, file, line, ok := runtime.Caller(skip)
		if !ok || strings.HasSuffix(file, "_test.go") {
			return filepath.Base(file) + ":" + strconv.Itoa(line)
		}
	}
}

func (p *Page) try(r request, result any) error {
	r = maps.Clone(r)
	r["page"] = p.id
	if len(p.frames) > 0 {
		r["frames"] = p.frames
	}
	return chromium.do(p.t, r, result)
}

// get returns an action's result.
func get[T any](p *Page, do, target string) (result T) {
	p.on(target, do, nil, &result)
	return result
}

// on does something to a target.
func (p *Page) on(target, do string, more request, result any) {
	r := request{"do": do, "target": target}
	maps.Copy(r, more)
	p.ask(r, result)
}

// Tab opens another page of the same profile, with the same cookies.
func (p *Page) Tab() *Page {
	return open(p.t, request{"do": "tab", "page": p.id})
}

// Frame returns the content of the iframe that target selects. Methods that concern a whole page,
// such as Press, Screenshot and Problems, still do.
func (p *Page) Frame(target string) *Page {
	frame := *p
	frame.frames = append(frame.frames[:len(frame.frames):len(frame.frames)], target)
	return &frame
}

// Open goes to a URL, waits until the page has loaded, and returns its HTTP status.
func (p *Page) Open(url string) (status int) {
	p.ask(request{"do": "open", "url": url}, &status)
	return status
}

// TryOpen does the same if a failure is expected, such as that of a URL that no server answers.
func (p *Page) TryOpen(url string) error { return p.try(request{"do": "open", "url": url}, nil) }

// Reload reloads the page and returns the HTTP status.
func (p *Page) Reload() int { return get[int](p, "reload", "") }

// Back goes back in the browser's history.
func (p *Page) Back() { p.ask(request{"do": "back"}, nil) }

// URL returns the page's URL.
func (p *Page) URL() string { return get[string](p, "url", "") }

// WaitURL waits until the page has loaded a URL that matches the pattern: * stands for any text
// without a slash, ** for any text.
func (p *Page) WaitURL(pattern string) { p.ask(request{"do": "waitURL", "url": pattern}, nil) }

// Click clicks. If that leads to another page, use Follow, which waits for it.
func (p *Page) Click(target string) { p.on(target, "click", nil, nil) }

// Follow clicks a link or a form's button, and waits until the next page has loaded.
func (p *Page) Follow(target string) { p.on(target, "follow", nil, nil) }

// Download clicks, and returns the name and text of the file that this saves.
func (p *Page) Download(target string) (name, text string) {
	var file struct{ Name, Text string }
	p.on(target, "download", nil, &file)
	return file.Name, file.Text
}

// Fill replaces the text of a field.
func (p *Page) Fill(target, text string) { p.on(target, "fill", request{"text": text}, nil) }

// Attach selects the file for a file field.
func (p *Page) Attach(target, path string) { p.on(target, "attach", request{"path": path}, nil) }

// Choose selects an option of a select element, by value or label.
func (p *Page) Choose(target, option string) { p.on(target, "choose", request{"text": option}, nil) }

// Check ticks a checkbox or radio button, or unticks a checkbox.
func (p *Page) Check(target string, on bool) { p.on(target, "check", request{"on": on}, nil) }

// Press presses a key, such as "Tab", "Shift+Tab", "Enter" or "a".
func (p *Page) Press(key string) { p.ask(request{"do": "press", "text": key}, nil) }

// Screenshot writes a PNG of the visible part, or of the whole page.
func (p *Page) Screenshot(path string, whole bool) {
	path, err := filepath.Abs(path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.ask(request{"do": "screenshot", "path": path, "on": whole}, nil)
}

// Resize sets the size of the view in CSS pixels.
func (p *Page) Resize(width, height int) {
	p.ask(request{"do": "resize", "width": width, "height": height}, nil)
}
