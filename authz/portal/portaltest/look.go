package portaltest

import "fmt"

// Text returns the target's visible text.
func (p *Page) Text(target string) (text string) {
	p.t.Helper()
	p.on(target, "text", nil, &text)
	return text
}

// Value returns the value of a form field.
func (p *Page) Value(target string) (value string) {
	p.t.Helper()
	p.on(target, "value", nil, &value)
	return value
}

// Attribute returns an attribute of the target, and whether it exists.
func (p *Page) Attribute(target, name string) (value string, ok bool) {
	p.t.Helper()
	var v *string
	p.on(target, "attribute", request{"text": name}, &v)
	if v == nil {
		return "", false
	}
	return *v, true
}

// Count returns how many elements the target selects now.
func (p *Page) Count(target string) (n int) {
	p.t.Helper()
	p.on(target, "count", nil, &n)
	return n
}

// Visible reports whether the target is visible now.
func (p *Page) Visible(target string) (visible bool) {
	p.t.Helper()
	p.on(target, "visible", nil, &visible)
	return visible
}

// Wait waits until the first element that the target selects is visible.
func (p *Page) Wait(target string) {
	p.t.Helper()
	p.on(target, "wait", request{"state": "visible"}, nil)
}

// WaitGone waits until the first element that the target selects is hidden or gone.
func (p *Page) WaitGone(target string) {
	p.t.Helper()
	p.on(target, "wait", request{"state": "hidden"}, nil)
}

// WaitText waits until an element that the target selects contains the text, ignoring case and
// white space.
func (p *Page) WaitText(target, text string) {
	p.t.Helper()
	p.on(target, "waitText", request{"text": text}, nil)
}

// Aria returns the target as assistive technology sees it: an outline of roles and names, in
// Playwright's YAML.
func (p *Page) Aria(target string) (outline string) {
	p.t.Helper()
	p.on(target, "aria", nil, &outline)
	return outline
}

// Element is an element as Chromium describes it to assistive technology.
type Element struct{ Role, Name, Description string }

// Focused returns the element that has the focus; its role is "RootWebArea" if none has. In a Frame
// it works only if the frame belongs to another site than the page, such as localhost in 127.0.0.1.
func (p *Page) Focused() (e Element) {
	p.t.Helper()
	p.ask(request{"do": "focused"}, &e)
	return e
}

// Violation is an axe-core rule that the page breaks.
type Violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, Summary string }
}

func (v Violation) String() string {
	text := fmt.Sprintf("%s (%s): %s", v.ID, v.Impact, v.Help)
	for _, n := range v.Nodes {
		text += "\n    " + n.HTML + "\n    " + n.Summary
	}
	return text
}

// Axe returns the violations that axe-core finds in the page, or in the frame alone.
func (p *Page) Axe() (violations []Violation) {
	p.t.Helper()
	p.ask(request{"do": "axe"}, &violations)
	return violations
}

// Problem is a message in the browser's console. Its kind is "error", "warning", "exception" if a
// script did not catch one, or "csp" for a violation of the Content Security Policy.
type Problem struct{ Kind, Text, URL string }

// Problems returns the problems of the whole page since the last call. A response with a status of
// 400 or higher is one, too.
func (p *Page) Problems() (problems []Problem) {
	p.t.Helper()
	p.ask(request{"do": "problems"}, &problems)
	return problems
}

// Requests returns the URLs that the whole page requested since the last call.
func (p *Page) Requests() (urls []string) {
	p.t.Helper()
	p.ask(request{"do": "requests"}, &urls)
	return urls
}

// Cookie is a cookie of the page's profile. Expires is in seconds since 1970, or -1 if it ends with
// the browser. PartitionKey is the site of the top page if the cookie is partitioned.
type Cookie struct {
	Name, Value, Domain, Path string
	Expires                   float64
	HTTPOnly, Secure          bool
	SameSite                  string // "Strict", "Lax" or "None"
	PartitionKey              string
}

// Cookies returns the cookies of all sites in the page's profile.
func (p *Page) Cookies() (cookies []Cookie) {
	p.t.Helper()
	p.ask(request{"do": "cookies"}, &cookies)
	return cookies
}

// Clipboard returns the text of the clipboard, which all pages share.
func (p *Page) Clipboard() (text string) {
	p.t.Helper()
	p.ask(request{"do": "clipboard"}, &text)
	return text
}

// Overflow returns by how many CSS pixels the page is wider than its viewport.
func (p *Page) Overflow() (pixels int) {
	p.t.Helper()
	p.Evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &pixels)
	return pixels
}

// Evaluate returns the value of a JavaScript expression in the page. Prefer methods that do what a
// user does.
func (p *Page) Evaluate(expression string, result any) {
	p.t.Helper()
	p.ask(request{"do": "evaluate", "text": expression}, result)
}
