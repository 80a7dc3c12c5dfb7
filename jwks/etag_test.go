package jwks

import (
	"strings"
	"testing"
)

func TestReadTag(t *testing.T) {
	const print = "AbCdEfGh01234-_9"
	for etag, want := range map[string]uint64{
		`"17"`: 17, `"17-gzip"`: 17, `W/"17"`: 17, `W/"17-gzip"`: 17, `"9223372036854775807"`: 1<<63 - 1,
		`"17.` + print + `"`: 17, `"17.` + print + `-gzip"`: 17, `W/"17.` + print + `"`: 17, `W/"17.` + print + `-gzip"`: 17,
		`"17.` + print + `-gzip-gzip"`: 17, `"17.` + print + `-br"`: 17, `"17.` + print + `;gzip"`: 17, `W/"17.` + print + `--gzip"`: 17,
		``: 0, `17`: 0, `"17`: 0, `17"`: 0, `""`: 0, `"0"`: 0, `"017"`: 0, `"+17"`: 0, `"-1"`: 0, `"17-br"`: 0, `"17-gzip-gzip"`: 0,
		`"9223372036854775808"`: 0, `"1", "2"`: 0, `"17."`: 0, `"17.AbC"`: 0, `"17.` + print + `x"`: 0, `"0.` + print + `"`: 0,
		`"x.` + print + `"`: 0, `"17.AbCdEfGh01234/_9"`: 0, `"5f3a-17"`: 0,
	} {
		got, named, ok := readTag(etag)
		if got != want || ok != (want > 0) || named != "" && named != print || (named != "") != (want > 0 && strings.Contains(etag, ".")) {
			t.Errorf("%s: %d, %q, %v", etag, got, named, ok)
		}
	}
}
