package portal

import "strings"

// policy allows a page to load only files from this server, and forbids inline code (Content Security
// Policy Level 3).
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors "

// secure sets the header fields that every answer has. Until the workspace is known, no site may frame
// the page.
func (v *visit) secure() {
	h := v.w.Header()
	parents := v.workspace.Portal.FrameAncestors
	if len(parents) == 0 {
		h.Set("Content-Security-Policy", policy+"'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	} else {
		h.Set("Content-Security-Policy", policy+strings.Join(parents, " "))
		h.Del("X-Frame-Options") // it can't list sites
		h.Del("Cross-Origin-Opener-Policy")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Language", v.language.Code)
	h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()")
	// With no-referrer, browsers would send "Origin: null" with a form.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Vary", "Accept-Language, Cookie")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
}
