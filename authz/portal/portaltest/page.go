package portaltest

import (
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Page is one in a Browser, or a frame in it. A method that cannot do what it is
// asked to within 15 seconds fails the test.
//
// A target is a selector of Playwright's: CSS, or what Role and Label return. It
// is waited for, and it is a failure that two elements match, save where a
// method says otherwise.
type Page struct {
	t       testing.TB
	browser *Browser
	id      int
	frames  []string
}

type request map[string]any

// Role selects by ARIA role and the whole accessible name.
func Role(role, name string) string { return "role=" + role + "[name=" + strconv.Quote(name) + "s]" }

// Label selects a form field by the whole text of its label.
func Label(text string) string { return "label=" + text }

func (p *Page) ask(r request, result any) {
	p.t.Helper()
	if err := p.try(r, result); err != nil {
		p.t.Fatalf("%s %s%v: %v", r["do"], strings.Join(p.frames, " "), r["target"], err)
	}
}

func (p *Page) try(r request, result any) error {
	r = maps.Clone(r)
	r["page"] = p.id
	if len(p.frames) > 0 {
		r["frames"] = p.frames
	}
	return p.browser.script.ask(r, result)
}

// on does something to a target.
func (p *Page) on(target, do string, more request, result any) {
	p.t.Helper()
	r := request{"do": do, "target": target}
	maps.Copy(r, more)
	p.ask(r, result)
}

// Tab opens another page of the same profile, with the same cookies.
func (p *Page) Tab() *Page {
	p.t.Helper()
	return p.browser.open(p.t, request{"do": "tab", "page": p.id})
}

// Frame is what the iframe that target selects shows. What belongs to the whole
// page, such as Press, Screenshot and Problems, is that of the whole page.
func (p *Page) Frame(target string) *Page {
	frame := *p
	frame.frames = append(frame.frames[:len(frame.frames):len(frame.frames)], target)
	return &frame
}

// Open goes to a URL, waits until it is loaded and returns the HTTP status of
// the page it arrived at.
func (p *Page) Open(url string) (status int) {
	p.t.Helper()
	p.ask(request{"do": "open", "url": url}, &status)
	return status
}

// TryOpen is Open for where a failure is expected, such as that of a link which
// nothing listens on.
func (p *Page) TryOpen(url string) error { return p.try(request{"do": "open", "url": url}, nil) }

// Reload does what F5 does and returns the HTTP status.
func (p *Page) Reload() (status int) {
	p.t.Helper()
	p.ask(request{"do": "reload"}, &status)
	return status
}

// Back does what the browser's button does.
func (p *Page) Back() {
	p.t.Helper()
	p.ask(request{"do": "back"}, nil)
}

// URL returns where the page is.
func (p *Page) URL() (url string) {
	p.t.Helper()
	p.ask(request{"do": "url"}, &url)
	return url
}

// WaitURL waits until the page is at, and has loaded, a URL that matches the
// pattern: * stands for anything but a slash, ** for anything.
func (p *Page) WaitURL(pattern string) {
	p.t.Helper()
	p.ask(request{"do": "waitURL", "url": pattern}, nil)
}

// Click clicks. Where that leads to another page, Follow waits for it.
func (p *Page) Click(target string) {
	p.t.Helper()
	p.on(target, "click", nil, nil)
}

// Follow clicks a link or a form's button, and waits until the page it leads to
// has loaded.
func (p *Page) Follow(target string) {
	p.t.Helper()
	p.on(target, "follow", nil, nil)
}

// Download clicks and returns the name and the text of the file that this saves.
func (p *Page) Download(target string) (name, text string) {
	p.t.Helper()
	var file struct{ Name, Text string }
	p.on(target, "download", nil, &file)
	return file.Name, file.Text
}

// Fill replaces the text of a field.
func (p *Page) Fill(target, text string) {
	p.t.Helper()
	p.on(target, "fill", request{"text": text}, nil)
}

// Attach chooses a file for a field that takes one.
func (p *Page) Attach(target, path string) {
	p.t.Helper()
	p.on(target, "attach", request{"path": path}, nil)
}

// Choose selects an option of a select element, by value or label.
func (p *Page) Choose(target, option string) {
	p.t.Helper()
	p.on(target, "choose", request{"text": option}, nil)
}

// Check ticks a box or a radio button, or unticks the box.
func (p *Page) Check(target string, on bool) {
	p.t.Helper()
	p.on(target, "check", request{"on": on}, nil)
}

// Focus moves the focus to the target.
func (p *Page) Focus(target string) {
	p.t.Helper()
	p.on(target, "focus", nil, nil)
}

// Press presses a key, such as "Tab", "Shift+Tab", "Enter" or "a", where the
// focus is.
func (p *Page) Press(key string) {
	p.t.Helper()
	p.ask(request{"do": "press", "text": key}, nil)
}

// Screenshot writes a PNG: of what is in view, or of the whole page.
func (p *Page) Screenshot(path string, whole bool) {
	p.t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.ask(request{"do": "screenshot", "path": path, "on": whole}, nil)
}

// Resize sets the size of the view in CSS pixels.
func (p *Page) Resize(width, height int) {
	p.t.Helper()
	p.ask(request{"do": "resize", "width": width, "height": height}, nil)
}
