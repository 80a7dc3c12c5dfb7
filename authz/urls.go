package authz

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// webURL checks an absolute http(s) URL without a user and password.
func (e *InputError) webURL(field, text string) {
	u, err := url.Parse(text)
	if err != nil || len(text) > MaxURL || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.ContainsAny(text, " \t\r\n\"'<>\\") {
		e.Add(field, RuleNotWebURL, "max", MaxURL)
	} else if !isPlainURL(u, text) {
		e.Add(field, RuleNotPlainURL)
	}
}

// origin checks an origin (RFC 6454 section 6.2) for the list of frame-ancestors, in which a wildcard or a
// separator would allow others.
func (e *InputError) origin(field, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ToLower(u.Scheme+"://"+u.Host) != text ||
		strings.ContainsAny(u.Host, "*;, ") {
		e.Add(field, RuleNotOrigin)
	}
}

// remote checks a URL that the server itself calls. Plain HTTP is allowed only for addresses on this machine,
// and only if clients reach the server there, too: others could use it to reach local services.
func (e *InputError) remote(field, text string, local bool) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Fragment != "" || u.User != nil || len(text) > MaxURL:
		e.Add(field, RuleNotURL, "max", MaxURL)
	case !isPlainURL(u, text):
		e.Add(field, RuleNotPlainURL)
	case u.Scheme != "https" && !(local && u.Scheme == "http" && isLoopback(u.Hostname())):
		e.Add(field, RuleNotHTTPS)
	}
}

// isPlainURL reports whether a URL has a valid port and only visible characters.
func isPlainURL(u *url.URL, text string) bool {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return (u.Port() == "" || err == nil && port > 0) &&
		!strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || NoOwner(r) })
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// isLocal reports whether clients reach the server on this machine only.
func (s *Service) isLocal() bool {
	u, err := url.Parse(s.publicURL)
	return err == nil && isLoopback(u.Hostname())
}
