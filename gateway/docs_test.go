package gateway

import (
	"os"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// TestDocumented checks that the operator's page explains every refusal.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/howto/gateways/gateway-service.md")
	check(t, err)
	page := string(text)
	refusals := []*jwks.Refusal{
		jwks.NoToken, jwks.BadToken, jwks.TooNarrow, jwks.NotNow, misconfigured, otherWorkspace, neverExpires, overLimit, uncounted,
	}
	for _, err := range []error{
		jwks.ErrMalformed, jwks.ErrUnknown, jwks.ErrSignature, jwks.ErrClaims, jwks.ErrIssuer, jwks.ErrPrefix, jwks.ErrAudience, jwks.ErrExpired,
		jwks.ErrAddress,
	} {
		refusals = append(refusals, jwks.InvalidToken(err))
	}
	for _, no := range refusals {
		if !strings.Contains(page, "`"+no.Reason+"`") {
			t.Errorf("the page does not explain %s", no.Reason)
		}
	}
}
