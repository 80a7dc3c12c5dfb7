package portal

import (
	"regexp"
	"strings"
	"testing"
)

func TestTextOnAnyColourIsReadable(t *testing.T) {
	t.Parallel()
	const least = 4.5
	for r := 0; r < 256; r += 5 {
		for g := 0; g < 256; g += 5 {
			for b := 0; b < 256; b += 5 {
				c := colour{byte(r), byte(g), byte(b)}
				if got := contrast(c, c.readable()); got < least {
					t.Fatalf("%s on %s: %.2f", c.readable(), c, got)
				}
			}
		}
	}
	for text, want := range map[string]string{"#ffffff": "#000000", "#000000": "#ffffff", "#ffd400": "#000000", "#00205b": "#ffffff"} {
		if c, ok := parseColour(text); !ok || c.readable().String() != want {
			t.Errorf("%s: %s", text, c.readable())
		}
	}
	for _, text := range []string{"", "#fff", "ffffff", "#gggggg", "#ffffff;", "#ffffff0"} {
		if _, ok := parseColour(text); ok {
			t.Errorf("%q is a colour", text)
		}
	}
}

// The colours of the style sheet have enough contrast in both schemes.
func TestOurColoursAreReadable(t *testing.T) {
	t.Parallel()
	text, err := assetFiles.ReadFile("assets/portal.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := strings.SplitN(string(text), "prefers-color-scheme: dark", 2)
	for i, scheme := range []string{"light", "dark"} {
		colours := map[string]colour{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(schemes[i], -1) {
			colours[m[1]], _ = parseColour(m[2])
		}
		for _, pair := range []struct {
			front string
			least float64
			backs string
		}{
			{"text", 7, "page box bad-box warn-box good-box"},
			{"quiet", 4.5, "page box bad-box warn-box good-box"},
			{"link", 4.5, "page box bad-box warn-box good-box"},
			{"bad", 4.5, "page box"},
			{"on-brand", 4.5, "brand"},
			{"line", 3, "page"},
			{"warn", 3, "page warn-box"},
			{"good", 3, "page good-box"}, // of shapes: WCAG 2.2, 1.4.11
		} {
			for _, back := range strings.Fields(pair.backs) {
				front, ok1 := colours[pair.front]
				behind, ok2 := colours[back]
				if got := contrast(front, behind); !ok1 || !ok2 || got < pair.least {
					t.Errorf("%s: %s on %s: %.2f, want %.1f", scheme, pair.front, back, got, pair.least)
				}
			}
		}
	}
}
