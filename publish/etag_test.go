package publish

import (
	"compress/gzip"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// An older Follower only understands an ETag that is just the version. It gets such an ETag, but with
// no-store and never with a 304, since after a restore the ETag can name another set.
func TestOlderFollowers(t *testing.T) {
	set := buildSet(t, 17, testKeys(t, 162, 3)...)
	h := handlerOf(set)
	for coding, etag := range map[string]string{"": `"17"`, "gzip": `"17-gzip"`} {
		for _, match := range []string{"", etag} {
			w := ask(h, "GET", "/", "Accept", "application/jwk-set+json, application/json", "Accept-Encoding", coding, "If-None-Match", match)
			if w.Code != 200 || w.Header().Get("Etag") != etag || w.Header().Get("Cache-Control") != "no-store" || w.Body.Len() == 0 {
				t.Errorf("%q, If-None-Match %q: %d %v", coding, match, w.Code, w.Header())
			}
		}
	}
	w := ask(h, "GET", "/", "Accept", jwks.MediaType+", application/json;q=0.9", "Accept-Encoding", "gzip", "If-None-Match", `"17"`)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Etag"), `"17.`) {
		t.Errorf("a present one: %d %v", w.Code, w.Header())
	}
	if _, err := gzip.NewReader(w.Body); err != nil {
		t.Error(err)
	}
}
