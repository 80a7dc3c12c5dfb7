package portaltest

import (
	"cmp"
	_ "embed"
	"testing"
)

//go:embed drive.mjs
var drive string

// Browser is a running Chromium, without a window. Names resolve in it to this
// machine or not at all. It and its pages may be used concurrently, but do one
// thing at a time.
type Browser struct{ script *script }

// NewBrowser starts Chromium, in about a second. It is ended with the test.
func NewBrowser(t testing.TB) *Browser {
	t.Helper()
	executable := chromium(t)
	b := &Browser{script: start(t, drive)}
	r := request{"do": "start", "executable": executable, "timeout": actionTimeout.Milliseconds()}
	if err := b.script.ask(r, nil); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return b
}

// PageOptions says how a page is looked at. The zero value is a desktop's.
type PageOptions struct {
	Width, Height int    // in CSS pixels; 1280 by 800 if zero
	Mobile        bool   // a touch screen, and the viewport is what the page's meta element says
	Dark          bool   // prefers-color-scheme: dark
	ReducedMotion bool   // prefers-reduced-motion: reduce
	NoJavaScript  bool   // the page's own; what this package asks of a page still works
	Locale        string // such as "de", for Accept-Language; "en-US" if empty
	Zone          string // of time, such as "Europe/Berlin"; the machine's if empty
}

// Page opens an empty page in a profile of its own: it shares no cookie with any
// other. It is closed when the test ends.
func (b *Browser) Page(t testing.TB, o PageOptions) *Page {
	t.Helper()
	options := map[string]any{
		"viewport":          map[string]int{"width": cmp.Or(o.Width, 1280), "height": cmp.Or(o.Height, 800)},
		"isMobile":          o.Mobile,
		"hasTouch":          o.Mobile,
		"javaScriptEnabled": !o.NoJavaScript,
		"colorScheme":       map[bool]string{false: "light", true: "dark"}[o.Dark],
		"reducedMotion":     map[bool]string{false: "no-preference", true: "reduce"}[o.ReducedMotion],
		"locale":            cmp.Or(o.Locale, "en-US"),
	}
	if o.Zone != "" {
		options["timezoneId"] = o.Zone
	}
	return b.open(t, request{"do": "page", "options": options})
}

func (b *Browser) open(t testing.TB, r request) *Page {
	t.Helper()
	p := &Page{t: t, browser: b}
	if err := b.script.ask(r, &p.id); err != nil {
		t.Fatalf("open a page: %v", err)
	}
	t.Cleanup(func() { p.ask(request{"do": "close"}, nil) })
	return p
}
