package portal

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
)

// theme answers with a style sheet that sets the producer's colour, since the policy forbids inline
// styles. The colour is used as a background for black or white text, never for text itself.
func theme(v *visit) error {
	accent, ok := parseColour(v.workspace.Portal.Accent)
	if !ok {
		return errNowhere
	}
	return v.file(kinds[".css"], fmt.Appendf(nil, ":root { --brand: %s; --on-brand: %s }\n", accent, accent.readable()))
}

// colour is a colour in sRGB: red, green and blue.
type colour [3]byte

var black, white = colour{}, colour{0xff, 0xff, 0xff}

// parseColour reads #rrggbb.
func parseColour(text string) (c colour, ok bool) {
	digits, found := strings.CutPrefix(text, "#")
	if !found || len(digits) != 2*len(c) {
		return c, false
	}
	_, err := hex.Decode(c[:], []byte(digits))
	return c, err == nil
}

func (c colour) String() string { return "#" + hex.EncodeToString(c[:]) }

// readable returns black or white, whichever has more contrast with c as a background. The contrast ratio
// is at least the square root of 21, about 4.58.
func (c colour) readable() colour {
	if contrast(c, black) > contrast(c, white) {
		return black
	}
	return white
}

// contrast returns the contrast ratio of two colours, from 1 to 21 (WCAG 2.2).
func contrast(a, b colour) float64 {
	light, dark := a.luminance(), b.luminance()
	if light < dark {
		light, dark = dark, light
	}
	return (light + .05) / (dark + .05)
}

// luminance returns the relative luminance, from 0 to 1 (WCAG 2.2).
func (c colour) luminance() float64 {
	linear := func(b byte) float64 {
		s := float64(b) / 255
		if s <= .04045 {
			return s / 12.92
		}
		return math.Pow((s+.055)/1.055, 2.4)
	}
	return .2126*linear(c[0]) + .7152*linear(c[1]) + .0722*linear(c[2])
}
