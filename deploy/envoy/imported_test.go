package envoy

import (
	"regexp"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// With Imported, anything that a place can contain reaches burnkey gateway, and a request without a key does not.
func TestImportedShapes(t *testing.T) {
	places, err := jwks.ParsePlaces("bearer", "header:X-Api-Key")
	if err != nil {
		t.Fatal(err)
	}
	matches := func(v *view, header, value string) bool {
		for _, s := range v.Shapes {
			if s.Header == header && regexp.MustCompile(`^(?:`+s.Regex+`)$`).MatchString(value) {
				return true
			}
		}
		return false
	}
	for _, c := range []struct {
		places        jwks.Places
		header, value string
		opaque        bool
	}{
		{jwks.Places{}, "authorization", "Bearer IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo", true},
		{jwks.Places{}, "authorization", "bearer  a.b/c==", true},
		{jwks.Places{}, "authorization", "Bearer a,Bearer b", false},
		{jwks.Places{}, "authorization", "Bearer ", false},
		{jwks.Places{}, "authorization", "Basic dTpw", false},
		{places, "x-api-key", "IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo", true},
		{places, "x-api-key", "sk live {42}", true},
		{places, "x-api-key", "", false},
		{places, "authorization", "Bearer IL1deIyHyQA40WpeLeA1bIUXuvTwlGjo", true},
	} {
		for _, imported := range []bool{false, true} {
			v := &view{Config: Config{Places: c.places, Imported: imported}, Gateway: new(endpoints)}
			v.setPlaces()
			if got := matches(v, c.header, c.value); got != (imported && c.opaque) {
				t.Errorf("imported %v: %s: %q: %v", imported, c.header, c.value, got)
			}
		}
	}
}

func TestImportedNeedsTheGateway(t *testing.T) {
	c := Config{Server: "https://keys.example.com", Workspaces: []string{"acme"}, AnyAudience: true, Imported: true}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "--imported: is only possible with --mode gateway") {
		t.Errorf("got %v", err)
	}
}
