package portaltest

import "fmt"

// Text returns the target's visible text.
func (p *Page) Text(target string) string { return get[string](p, "text", target) }

// Value returns the value of a form field.
func (p *Page) Value(target string) string { return get[string](p, "value", target) }

// Attribute returns an attribute of the target, and whether the attribute exists.
func (p *Page) Attribute(target, name string) (value string, ok bool) {
	var v *string
	p.on(target, "attribute", request{"text": name}, &v)
	if v == nil {
		return "", false
	}
	return *v, true
}

// Count returns how many elements the target selects now.
func (p *Page) Count(target string) int { return get[int](p, "count", target) }

// Wait waits until the first element that the target selects is visible.
func (p *Page) Wait(target string) { p.on(target, "wait", request{"state": "visible"}, nil) }

// WaitGone waits until the first element that the target selects is hidden or gone.
func (p *Page) WaitGone(target string) { p.on(target, "wait", request{"state": "hidden"}, nil) }

// WaitText waits until an element that the target selects contains the text, ignoring case and
// white space.
func (p *Page) WaitText(target, text string) { p.on(target, "waitText", request{"text": text}, nil) }

// Element is an element as Chromium describes it to assistive technology.
type Element struct{ Role, Name, Description string }

// Focused returns the focused element. If no element has the focus, its role is "RootWebArea". In a
// Frame, Focused works only if the frame's site differs from the page's, for example localhost in
// 127.0.0.1.
func (p *Page) Focused() Element { return get[Element](p, "focused", "") }

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

// Axe returns the violations that axe-core finds in the page or, for a Frame, in the frame only.
func (p *Page) Axe() []Violation { return get[[]Violation](p, "axe", "") }

// Problem is a message in the browser's console. Kind is "error", "warning", "exception" for an uncaught
// exception, or "csp" for a violation of the Content Security Policy.
type Problem struct{ Kind, Text, URL string }

// Problems returns the problems of the whole page since the last call, including responses with a status
// of 400 or higher.
func (p *Page) Problems() []Problem { return get[[]Problem](p, "problems", "") }

// Requests returns the URLs that the whole page requested since the last call.
func (p *Page) Requests() []string { return get[[]string](p, "requests", "") }

// Cookie is a cookie in the page's profile. Expires is in seconds since 1970, or -1 for a cookie that
// lasts until the browser is closed. PartitionKey is the site of the top-level page if the cookie is
// partitioned.
type Cookie struct {
	Name, Value, Domain, Path string
	Expires                   float64
	HTTPOnly, Secure          bool
	SameSite                  string // "Strict", "Lax" or "None"
	PartitionKey              string
}

// Cookies returns the cookies of all sites in the page's profile.
func (p *Page) Cookies() []Cookie { return get[[]Cookie](p, "cookies", "") }

// Clipboard returns the text in the clipboard, which all pages share.
func (p *Page) Clipboard() string { return get[string](p, "clipboard", "") }

// Overflow returns how many CSS pixels the page is wider than its viewport.
func (p *Page) Overflow() (pixels int) {
	p.Evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &pixels)
	return pixels
}

// Evaluate stores the value of a JavaScript expression in result. Prefer methods that act like a user.
func (p *Page) Evaluate(expression string, result any) {
	p.ask(request{"do": "evaluate", "text": expression}, result)
}
