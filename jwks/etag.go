package jwks

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// acceptSet is the Accept header that a Follower sends.
const acceptSet = MediaType + ", application/json;q=0.9"

// tagPrint is the number of characters of the fingerprint (base64url) in an ETag.
const tagPrint = 16

const gzipSuffix = "-gzip"

// ETag returns the entity tag of a set: the version, from which a Follower continues, and a prefix of the
// fingerprint, since a restored database can assign the same version to a different set.
func ETag(version uint64, print Fingerprint) string {
	return `"` + strconv.FormatUint(version, 10) + "." + print.String()[:tagPrint] + `"`
}

// GzipETag returns the entity tag of the gzip form of a set, given the tag of its plain form.
func GzipETag(etag string) string { return strings.TrimSuffix(etag, `"`) + gzipSuffix + `"` }

// answered describes the set in a response according to the response's header.
type answered struct {
	version uint64 // 0: missing or invalid
	print   string // the fingerprint or its beginning; empty: missing
	etag    string
	bare    bool // the ETag is just a version, as sent by older servers
}

// isOf reports whether the response certainly contains the set `have`.
func (d answered) isOf(have setState) bool {
	known := d.version != 0 || d.print != ""
	return have.has && known && d.version == have.version && have.mayBe(d.print)
}

// describe reads the header of a response. VersionHeader and FingerprintHeader take precedence over the
// ETag, since proxies can change the ETag.
func describe(head http.Header) answered {
	d := answered{etag: head.Get("Etag"), print: head.Get(FingerprintHeader)}
	version, print, ok := readTag(d.etag)
	d.bare = ok && print == ""
	d.version = readVersion(head.Get(VersionHeader))
	if d.version == 0 && ok {
		d.version = version
	}
	if d.print == "" && d.version != 0 && d.version == version {
		d.print = print
	}
	return d
}

// readTag reads "17.x3Jk…", "17.x3Jk…-gzip" and the variants of compressing proxies, which prepend W/ or
// append a suffix. It reads "17" and "17-gzip" from older servers, but no variants of them: a proxy could
// have made such a tag itself.
func readTag(etag string) (version uint64, print string, ok bool) {
	text, quoted := strings.CutPrefix(strings.TrimPrefix(etag, "W/"), `"`)
	text, ended := strings.CutSuffix(text, `"`)
	number, rest, named := strings.Cut(text, ".")
	if !named {
		number = strings.TrimSuffix(text, gzipSuffix)
	}
	version = readVersion(number)
	if !quoted || !ended || version == 0 {
		return 0, "", false
	}
	if !named {
		return version, "", true
	}
	if len(rest) < tagPrint || strings.Trim(rest[:tagPrint], base64url) != "" {
		return 0, "", false
	}
	if after := rest[tagPrint:]; after != "" && !strings.ContainsRune("-;:+.", rune(after[0])) {
		return 0, "", false
	}
	return version, rest[:tagPrint], true
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// readVersion returns 0 for an invalid version, including one with leading zeros.
func readVersion(text string) uint64 {
	version, err := strconv.ParseUint(text, 10, 63)
	if err != nil || text != strconv.FormatUint(version, 10) {
		return 0
	}
	return version
}

// tagOf returns the ETag for a conditional request, in the form that the server uses.
func (c *course) tagOf(have setState) string {
	if c.bareTags {
		return `"` + strconv.FormatUint(have.version, 10) + `"`
	}
	return ETag(have.version, have.print)
}

// noteTag records the form of the server's ETags, and logs when responses lose or regain the version.
func (c *course) noteTag(ctx context.Context, d answered) {
	c.bareTags = d.bare
	if lost := d.version == 0; lost != c.versionLost {
		c.versionLost = lost
		if lost {
			c.log.WarnContext(ctx, "the set came without its version, so changes can't be streamed: "+
				"a proxy before the server drops or rewrites ETag, "+VersionHeader+" and "+FingerprintHeader+
				"; polling whole sets", "url", c.shownURL(), "etag", d.etag, "every", c.pollEvery)
		} else {
			c.log.InfoContext(ctx, "the set comes with its version again", "url", c.shownURL())
		}
	}
}
