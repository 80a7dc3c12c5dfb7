package jwks

import (
	"slices"
	"testing"
)

func BenchmarkVerify(b *testing.B) {
	good := ownPair().token(testPayload)
	for _, test := range []struct{ name, token string }{
		{"good", good},
		{"repeated", good},
		{"signature", withSignature(good, make([]byte, ModulusLen))},
		{"unknown", otherPair().token(testPayload)},
		{"no kid", otherPair().sign(`{"alg":"RS256","typ":"JWT"}`, testPayload)},
		{"oversize", string(slices.Repeat([]byte("A"), 1<<20))},
	} {
		b.Run(test.name, func(b *testing.B) {
			verifier := testVerifier()
			if test.name == "repeated" {
				verifier, _ = tableVerifier(b)
			}
			var claims Claims
			b.ReportAllocs()
			for b.Loop() {
				if err := verifier.VerifyInto(test.token, &claims); (err == nil) != (test.token == good) {
					b.Fatal(err)
				}
			}
		})
	}
}
