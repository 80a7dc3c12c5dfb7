package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/burnkey/burnkey/authz"
)

//go:embed assets
var assetFiles embed.FS

// asset is an embedded file, such as the style sheet.
type asset struct {
	kind    string // media type
	version string // changes with the content
	body    []byte
}

// readAssets reads the embedded files, once for all portals.
var readAssets = sync.OnceValue(func() map[string]asset {
	files, _ := assetFiles.ReadDir("assets")
	assets := make(map[string]asset, len(files))
	for _, file := range files {
		body, _ := assetFiles.ReadFile("assets/" + file.Name())
		sum := sha256.Sum256(body)
		assets[file.Name()] = asset{kind: kinds[path.Ext(file.Name())], version: hex.EncodeToString(sum[:6]), body: body}
	}
	return assets
})

// kinds are the media types by file extension. mime.TypeByExtension would depend on the operating system.
var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// serveAsset answers with a file. Browsers cache it permanently if the URL contains its current version.
func (p *portal) serveAsset(w http.ResponseWriter, r *http.Request, a asset) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == a.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Type", a.kind)
	h.Set("Content-Security-Policy", policy+"'none'")
	h.Set("ETag", `"`+a.version+`"`)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// logo answers with the producer's logo. If the browser already has the current logo, the database is not
// read.
func logo(v *visit) error {
	hash := v.workspace.Portal.LogoHash
	if hash == "" {
		return errNowhere
	}
	if v.has(hash) {
		v.describe("image/png", hash)
		v.w.Header().Del("Content-Type")
		v.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	picture, err := v.service.Logo(v.r.Context(), v.workspace.ID)
	if errors.Is(err, authz.ErrNotFound) { // it was just deleted
		return errNowhere
	}
	if err != nil {
		return err
	}
	return v.file("image/png", picture)
}

// fileLife is how long browsers may use a cached logo or style sheet without asking again.
const fileLife = 5 * time.Minute

// has reports whether the browser already has the file with this hash (RFC 9110 section 13.1.2).
func (v *visit) has(hash string) bool {
	for tag := range strings.SplitSeq(strings.Join(v.r.Header.Values("If-None-Match"), ","), ",") {
		if strings.TrimPrefix(strings.TrimSpace(tag), "W/") == `"`+hash+`"` {
			return true
		}
	}
	return false
}

// file answers with a file that does not depend on the person.
func (v *visit) file(kind string, body []byte) error {
	sum := sha256.Sum256(body)
	v.describe(kind, hex.EncodeToString(sum[:]))
	http.ServeContent(v.w, v.r, "", time.Time{}, bytes.NewReader(body))
	return nil
}

// describe sets the header fields of a file that browsers cache briefly. If the query names a version of
// the workspace's look that this server doesn't know, browsers must revalidate the file.
func (v *visit) describe(kind, hash string) {
	h := v.w.Header()
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(fileLife.Seconds())))
	if of := v.r.URL.Query().Get("v"); of != "" && of != lookOf(&v.workspace) {
		h.Set("Cache-Control", "no-cache")
	}
	h.Del("Content-Language")
	h.Del("Vary")
	h.Set("Content-Type", kind)
	h.Set("ETag", `"`+hash+`"`)
}
