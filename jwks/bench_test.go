package jwks

import (
	"net/netip"
	"slices"
	"testing"
)

func BenchmarkVerify(b *testing.B) {
	good, client := ownPair().token(testPayload), netip.MustParseAddr("192.0.2.9")
	for _, test := range []struct{ name, token string }{
		{"good", good},
		{"repeated", good},
		{"repeated, with attributes", good},
		{"signature", withSignature(good, make([]byte, ModulusLen))},
		{"unknown", otherPair().token(testPayload)},
		{"no kid", otherPair().sign(`{"alg":"RS256","typ":"JWT"}`, testPayload)},
		{"oversize", string(slices.Repeat([]byte("A"), 1<<20))},
	} {
		b.Run(test.name, func(b *testing.B) {
			verifier := testVerifier()
			switch test.name {
			case "repeated":
				verifier, _ = tableVerifier(b)
			case "repeated, with attributes":
				verifier, _ = attributed(b, typical)
			}
			var claims Claims
			b.ReportAllocs()
			for b.Loop() {
				if err := verifier.VerifyFromInto(test.token, client, &claims); (err == nil) != (test.token == good) {
					b.Fatal(err)
				}
			}
		})
	}
}
