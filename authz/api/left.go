package api

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/jwks"
)

// TokenLimits are the limits of a key, as its holder sees them.
type TokenLimits struct {
	KeyID      string      `json:"key_id" format:"uuid" doc:"The key's id"`
	Plan       string      `json:"plan,omitempty" doc:"The plan whose limits it has"`
	Limits     []LeftLimit `json:"limits" nullable:"false"`
	ReportedAt *time.Time  `json:"reported_at" doc:"Time of the report by a gateway that says what is left; null: none"`
	Age        *float64    `json:"age" doc:"Seconds since that report; null: none"`
}

// LeftLimit is a limit and what it still allows, as far as that is known.
type LeftLimit struct {
	On string `json:"on" enum:"key,plan,owner" doc:"Subject of the limit; that of an owner counts all of the owner's keys"`
	Limit
	Remaining *uint32    `json:"remaining,omitempty" doc:"Requests that would pass at once; absent: not reported since the limit was set"`
	ResetAt   *time.Time `json:"reset_at,omitempty" doc:"When it allows all of its requests again: a whole second, and not too early"`
}

// limitsOfToken shows the holder of a token its limits.
func (a *api) limitsOfToken(c echo.Context) error {
	r := c.Request()
	token, no := jwks.BearerToken(r.Header.Values("Authorization")...)
	if no != nil {
		return newProblem(kindMissingKey, "This call requires the API key itself: Authorization: Bearer ….").
			with("WWW-Authenticate", `Bearer realm="burnkey"`)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	from, _ := netip.ParseAddr(clientaddr.Of(r.RemoteAddr)) // the zero address may use only keys without networks
	found, err := a.service.LimitsOfToken(r.Context(), c.Param("ws"), jwks.Token(token), from)
	var spent *authz.BudgetError
	var crowded *authz.CrowdedError
	switch {
	case errors.Is(err, authz.ErrNotFound):
		return newProblem(kindNotFound, "There is no such workspace.")
	case errors.Is(err, authz.ErrUnauthenticated):
		return newProblem(kindInvalidKey, "The API key is not valid.").with("WWW-Authenticate", `Bearer realm="burnkey", error="invalid_token"`)
	case errors.Is(err, authz.ErrForbidden): // no error code of RFC 6750 fits
		return newProblem(kindForbidden, "The API key can't be used from this address.").
			with("WWW-Authenticate", `Bearer realm="burnkey"`)
	case errors.As(err, &spent):
		return overQuota("This API key has asked for its limits too often.", spent.After)
	case errors.As(err, &crowded):
		return tooManyReads("This API key", crowded)
	case err != nil:
		return err
	}
	return c.JSON(http.StatusOK, a.showTokenLimits(&found))
}

// tooManyReads returns the problem of a caller without a management key, whom the subject names.
func tooManyReads(subject string, crowded *authz.CrowdedError) *Problem {
	if crowded.Reason == "caller" {
		return overQuota(subject+" has too many reads in progress.", time.Second)
	}
	return unavailable(kindReads, "Too many reads are in progress.")
}

func (a *api) showTokenLimits(found *authz.KeyLimits) TokenLimits {
	shown := TokenLimits{
		KeyID: found.Key.ID.String(), Plan: found.Key.Plan, Limits: []LeftLimit{}, ReportedAt: optionalTime(found.ReportedAt),
	}
	if shown.ReportedAt != nil {
		age := max(0, a.service.Now().Sub(found.ReportedAt).Seconds())
		shown.Age = &age
	}
	for _, l := range found.Limits {
		left := LeftLimit{On: l.On, Limit: showLimits([]jwks.Limit{l.Limit})[0]}
		if l.Known {
			left.Remaining, left.ResetAt = &l.Remaining, &l.ResetAt
		}
		shown.Limits = append(shown.Limits, left)
	}
	return shown
}

// byToken describes the credential of a call that takes the key itself.
func byToken(op *huma.Operation) {
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: "Authorization", In: "header", Description: "Bearer and the token of the key", Schema: &huma.Schema{Type: huma.TypeString},
	})
}
