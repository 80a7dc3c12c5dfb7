package portaltest

import (
	"cmp"
	_ "embed"
	"testing"
)

//go:embed drive.mjs
var drive string

var chromium = &script{text: drive}

// PageOptions configure a page's browser. The zero value is a desktop browser.
type PageOptions struct {
	Width, Height int    // in CSS pixels; 1280 by 800 if zero
	Mobile        bool   // a touch screen, and the viewport that the page's meta element requests
	Dark          bool   // prefers-color-scheme: dark
	ReducedMotion bool   // prefers-reduced-motion: reduce
	NoJavaScript  bool   // disables the page's scripts; the methods of Page still work
	Locale        string // such as "de", for Accept-Language; "en-US" if empty
	Zone          string // time zone, such as "Europe/Berlin"; the machine's if empty
}

// NewPage opens an empty page in a headless Chromium. The page has a profile of its own, so it shares no
// cookies with other pages. Host names resolve to this machine or not at all. The page is closed when the
// test ends.
func NewPage(t testing.TB, o PageOptions) *Page {
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
	return open(t, request{
		"do": "page", "options": options, "executable": executable(t), "timeout": actionTimeout.Milliseconds(),
	})
}

func open(t testing.TB, r request) *Page {
	t.Helper()
	p := &Page{t: t}
	if err := chromium.do(t, r, &p.id); err != nil {
		t.Fatalf("open a page: %v", err)
	}
	t.Cleanup(func() {
		p.ask(request{"do": "close"}, nil)
		chromium.explain(t)
	})
	return p
}
