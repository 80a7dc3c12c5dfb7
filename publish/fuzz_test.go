package publish

import (
	"strings"
	"testing"
)

func FuzzAcceptsGzip(f *testing.F) {
	for _, seed := range []string{"gzip", "gzip;q=0", "*", "x-gzip", "br, gzip;q=0.5", "gzip;\tq=0", "gzip;q=1e400", ";,;=,q=gzip"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := acceptsGzip([]string{header})
		if got && !strings.Contains(strings.ToLower(header), "gzip") {
			t.Errorf("%q does not name gzip", header)
		}
		if more := acceptsGzip([]string{header, "gzip;q=0"}); more && !got {
			t.Errorf("%q accepts gzip because of a weight of 0", header)
		}
	})
}

func FuzzMatches(f *testing.F) {
	for _, seed := range []string{`"17"`, `W/"17"`, `*`, `"16", "17"`, `"170"`, `W/W/"17"`, `""17""`, `,,,`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := matches([]string{header}, `"17"`, `"17-gzip"`)
		if named := strings.Contains(header, `"17"`) || strings.Contains(header, `"17-gzip"`) || strings.Contains(header, "*"); got && !named {
			t.Errorf("%q names no tag", header)
		}
		if !matches([]string{header, `"17"`}, `"17"`) {
			t.Errorf("%q hides the next header", header)
		}
	})
}
