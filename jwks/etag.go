package jwks

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// Header fields that say which set is served, also with 304, and that a proxy has no
// reason to change: a Follower goes by them where the ETag was dropped or rewritten.
const (
	// FingerprintHeader carries the Fingerprint of the set.
	FingerprintHeader = "Burnkey-Fingerprint"
	// VersionHeader carries its version.
	VersionHeader = "Burnkey-Version"
)

// Accept of a Follower. Older ones, which read no ETag but a version alone, send
// acceptBefore.
const (
	acceptSet    = MediaType + ", application/json;q=0.9"
	acceptBefore = MediaType + ", application/json"
)

// tagPrint is how much of the fingerprint is in the ETag, in characters of base64url.
const tagPrint = 16

const gzipSuffix = "-gzip"

// tag is the opaque tag of a set, without its quotes: the version, by which a Follower
// goes on, and the beginning of the fingerprint, since after a restore a version can be
// another set's.
func (s shown) tag() string {
	return strconv.FormatUint(s.version, 10) + "." + s.print.String()[:tagPrint]
}

// said is what an answer says of the set in it.
type said struct {
	version uint64 // 0: nothing that reads
	print   string // the fingerprint, or its beginning; empty: nothing
	etag    string
	bare    bool // the ETag is a version alone, as older servers send it
}

// isOf reports whether the answer is known to have this set.
func (d said) isOf(have shown) bool {
	known := d.version != 0 || d.print != ""
	return have.has && known && d.version == have.version && have.mayBe(d.print)
}

// describe reads an answer's header. The ETag comes second: of the three fields it is
// the one that proxies change.
func describe(head http.Header) said {
	d := said{etag: head.Get("Etag"), print: head.Get(FingerprintHeader)}
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

// readTag reads "17.x3Jk…", "17.x3Jk…-gzip" and what a proxy that compresses makes of
// them: it puts W/ before them or something of its own after them. Of an older server
// it reads "17" and "17-gzip"; with anything more that could be a proxy's own tag.
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

// readVersion returns 0 for what is no version in its one spelling.
func readVersion(text string) uint64 {
	version, err := strconv.ParseUint(text, 10, 63)
	if err != nil || text != strconv.FormatUint(version, 10) {
		return 0
	}
	return version
}

// tagOf returns the ETag by which to ask for a set, as the server spells it.
func (c *course) tagOf(have shown) string {
	if c.bareTags {
		return `"` + strconv.FormatUint(have.version, 10) + `"`
	}
	return `"` + have.tag() + `"`
}

// noteTag keeps how the server spells its ETags, and logs once where no version came.
func (c *course) noteTag(ctx context.Context, d said) {
	c.bareTags = d.bare
	if lost := d.version == 0; lost != c.versionLost {
		c.versionLost = lost
		if lost {
			c.log.WarnContext(ctx, "the set came without its version, so changes can't be followed as they are made: "+
				"a proxy before the server drops or rewrites ETag, "+VersionHeader+" and "+FingerprintHeader+
				"; polling whole sets", "url", c.shownURL(), "etag", d.etag, "every", c.pollEvery)
		} else {
			c.log.InfoContext(ctx, "the set comes with its version again", "url", c.shownURL())
		}
	}
}
