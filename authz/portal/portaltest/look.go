package portaltest

import "fmt"

// Text returns what of the target's text a reader sees.
func (p *Page) Text(target string) (text string) {
	p.t.Helper()
	p.on(target, "text", nil, &text)
	return text
}

// Value returns that of a form field.
func (p *Page) Value(target string) (value string) {
	p.t.Helper()
	p.on(target, "value", nil, &value)
	return value
}

// Attribute returns that of the target, and whether it has it.
func (p *Page) Attribute(target, name string) (value string, ok bool) {
	p.t.Helper()
	var v *string
	p.on(target, "attribute", request{"text": name}, &v)
	if v == nil {
		return "", false
	}
	return *v, true
}

// Count returns how many elements the target selects at this moment.
func (p *Page) Count(target string) (n int) {
	p.t.Helper()
	p.on(target, "count", nil, &n)
	return n
}

// Visible says whether the target is there and to be seen, at this moment.
func (p *Page) Visible(target string) (visible bool) {
	p.t.Helper()
	p.on(target, "visible", nil, &visible)
	return visible
}

// Wait waits until something that the target selects is to be seen.
func (p *Page) Wait(target string) {
	p.t.Helper()
	p.on(target, "wait", request{"state": "visible"}, nil)
}

// WaitGone waits until the first that the target selects is not to be seen.
func (p *Page) WaitGone(target string) {
	p.t.Helper()
	p.on(target, "wait", request{"state": "hidden"}, nil)
}

// WaitText waits until something that the target selects contains the text,
// whatever its case and white space.
func (p *Page) WaitText(target, text string) {
	p.t.Helper()
	p.on(target, "waitText", request{"text": text}, nil)
}

// Aria returns the target as assistive technology has it: an outline of roles
// and names, in Playwright's YAML.
func (p *Page) Aria(target string) (outline string) {
	p.t.Helper()
	p.on(target, "aria", nil, &outline)
	return outline
}

// Element is one as Chromium describes it to assistive technology.
type Element struct{ Role, Name, Description string }

// Focused returns what has the focus; its role is "RootWebArea" where nothing
// has. In a Frame it works only where the frame's site is not the page's, as
// 127.0.0.1 is not localhost.
func (p *Page) Focused() (e Element) {
	p.t.Helper()
	p.ask(request{"do": "focused"}, &e)
	return e
}

// Violation is a rule of axe-core's that the page breaks.
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

// Axe returns what axe-core has against the page, or against the frame alone.
func (p *Page) Axe() (violations []Violation) {
	p.t.Helper()
	p.ask(request{"do": "axe"}, &violations)
	return violations
}

// Problem is a complaint in the browser's console: an "error" or a "warning", an
// "exception" that a script did not catch, or what a Content Security Policy
// forbade, "csp".
type Problem struct{ Kind, Text, URL string }

// Problems returns those of the whole page since they were last asked for. A
// response of status 400 or above is one, too.
func (p *Page) Problems() (problems []Problem) {
	p.t.Helper()
	p.ask(request{"do": "problems"}, &problems)
	return problems
}

// Requests returns the URLs that the whole page asked for since it was last
// asked.
func (p *Page) Requests() (urls []string) {
	p.t.Helper()
	p.ask(request{"do": "requests"}, &urls)
	return urls
}

// Cookie is one of the page's profile. Expires is in seconds since 1970, -1 for
// one that ends with the browser. PartitionKey is the site of the page at the
// top, for a partitioned one.
type Cookie struct {
	Name, Value, Domain, Path string
	Expires                   float64
	HTTPOnly, Secure          bool
	SameSite                  string // "Strict", "Lax" or "None"
	PartitionKey              string
}

// Cookies returns those of the page's profile, of all sites.
func (p *Page) Cookies() (cookies []Cookie) {
	p.t.Helper()
	p.ask(request{"do": "cookies"}, &cookies)
	return cookies
}

// Clipboard returns its text. All of a Browser's pages share it.
func (p *Page) Clipboard() (text string) {
	p.t.Helper()
	p.ask(request{"do": "clipboard"}, &text)
	return text
}

// Overflow returns by how many CSS pixels the page is wider than its view.
func (p *Page) Overflow() (pixels int) {
	p.t.Helper()
	p.Evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &pixels)
	return pixels
}

// Evaluate computes an expression of JavaScript in the page. Prefer the methods
// that a user's hands and eyes could replace.
func (p *Page) Evaluate(expression string, result any) {
	p.t.Helper()
	p.ask(request{"do": "evaluate", "text": expression}, result)
}
