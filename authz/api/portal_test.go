package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/authz"
)

// picture returns a PNG of slightly less than the given size.
func picture(t *testing.T, size int) []byte {
	t.Helper()
	const side = 128 // noise can't be compressed: a byte a pixel
	img := image.NewGray(image.Rect(0, 0, 2*side, size/side/2-3))
	for i := range img.Pix {
		img.Pix[i] = byte(rand.Uint32())
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil || b.Len() > size {
		t.Fatal(b.Len(), err)
	}
	return b.Bytes()
}

// The largest logo fits into a body. A list of a thousand workspaces with the largest settings is within the 32
// MiB that a gateway accepts.
func TestLogosAndLists(t *testing.T) {
	s := newServer(t)
	logo := picture(t, authz.MaxLogo)
	body, err := json.Marshal(map[string]any{"portal": map[string]any{"logo": logo}})
	if err != nil {
		t.Fatal(err)
	}
	shown := s.do("PATCH", "/v1/workspaces/acme", string(body)).want(200).object()["portal"].(map[string]any)
	if shown["logo"] != base64.StdEncoding.EncodeToString(logo) || len(shown) != 1 {
		t.Error("the logo comes back as another, or with more")
	}
	audiences, scopes := make([]string, 16), make([]map[string]string, 64)
	for i := range audiences {
		audiences[i] = strings.Repeat("\U0001F600", 254) + string(rune('a'+i))
	}
	for i := range scopes {
		scopes[i] = map[string]string{"name": strings.Repeat("x", 100) + strconv.Itoa(i), "description": strings.Repeat("d", 255)}
	}
	if body, err = json.Marshal(map[string]any{"audiences": audiences, "policy": map[string]any{"scopes": scopes}}); err != nil {
		t.Fatal(err)
	}
	s.do("PATCH", "/v1/workspaces/acme", string(body)).want(200)
	list := s.do("GET", "/v1/workspaces", nil).want(200)
	if n := len(list.body); n > 32<<20/1000 {
		t.Errorf("one workspace takes %d bytes of a list", n)
	}
	one := s.do("GET", "/v1/workspaces/acme", nil).want(200).object()
	if portal, ok := one["portal"].(map[string]any); !ok || portal["logo"] == nil || one["policy"] == nil {
		t.Error("a workspace by itself is without its logo or policy")
	}
	// A longer body is refused, and the limit of most calls is still MaxBody.
	s.do("PATCH", "/v1/workspaces/acme", `{"name":"`+strings.Repeat("x", 256<<10)+`"}`).want(413)
	s.do("POST", "/v1/workspaces/acme/keys", `{"owner":"`+strings.Repeat("x", 65<<10)+`"}`).want(413)
}
