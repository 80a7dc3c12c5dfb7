package portaltest

import (
	"maps"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// Page is a page in a browser, or a frame in the page. A method that does not succeed within 15 seconds
// fails the test.
//
// A target is a Playwright selector: CSS, or the result of Role or Label. Unless stated otherwise,
// methods wait for the element, and fail if more than one element matches.
type Page struct {
	t      testing.TB
	id     int
	frames []string
}

type request map[string]any

// Role selects an element by its ARIA role and its exact accessible name.
func Role(role, name string) string { return "role=" + role + "[name=" + strconv.Quote(name) + "s]" }

// Label selects a form field by the exact text of its label.
func Label(text string) string { return "label=" + text }

func (p *Page) ask(r request, result any) {
	if err := p.try(r, result); err != nil {
		p.t.Fatalf("%s: %s %s%v: %v", caller(), r["do"], strings.Join(p.frames, " "), r["target"], err)
	}
}

// caller returns the line of the test, so that methods do not need t.Helper.
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

// Tab opens another page in the same profile, which has the same cookies.
func (p *Page) Tab() *Page {
	return open(p.t, request{"do": "tab", "page": p.id})
}

// Frame returns the content of the iframe that the target selects. Methods about a whole page, such as
// Press, Screenshot and Problems, still concern the whole page.
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

// TryOpen is like Open, but returns an error instead of failing the test, for example if no server
// answers at the URL.
func (p *Page) TryOpen(url string) error { return p.try(request{"do": "open", "url": url}, nil) }

// Reload reloads the page and returns the HTTP status.
func (p *Page) Reload() int { return get[int](p, "reload", "") }

// Back goes back in the browser's history.
func (p *Page) Back() { p.ask(request{"do": "back"}, nil) }

// URL returns the page's URL.
func (p *Page) URL() string { return get[string](p, "url", "") }

// WaitURL waits until the page has loaded a URL that matches the pattern: * matches any text without a
// slash, ** any text.
func (p *Page) WaitURL(pattern string) { p.ask(request{"do": "waitURL", "url": pattern}, nil) }

// Click clicks the target. If this opens another page, use Follow, which waits for that page.
func (p *Page) Click(target string) { p.on(target, "click", nil, nil) }

// Follow clicks a link or a form's button, and waits until the next page has loaded.
func (p *Page) Follow(target string) { p.on(target, "follow", nil, nil) }

// Download clicks the target, and returns the name and content of the file that is saved.
func (p *Page) Download(target string) (name, text string) {
	var file struct{ Name, Text string }
	p.on(target, "download", nil, &file)
	return file.Name, file.Text
}

// Fill replaces the text of a field.
func (p *Page) Fill(target, text string) { p.on(target, "fill", request{"text": text}, nil) }

// Attach selects the file at path in a file field.
func (p *Page) Attach(target, path string) { p.on(target, "attach", request{"path": path}, nil) }

// Choose selects an option of a select element by its value or label.
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

// Resize sets the size of the viewport in CSS pixels.
func (p *Page) Resize(width, height int) {
	p.ask(request{"do": "resize", "width": width, "height": height}, nil)
}
