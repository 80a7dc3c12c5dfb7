package api

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// UsageReport is a gateway's report of when keys were used.
type UsageReport struct {
	Keys     []KeyUse   `json:"keys" nullable:"false" maxItems:"500" doc:"Empty: no key was used"`
	Complete bool       `json:"complete" doc:"false: earlier uses may be missing, so that usage counts as known from now on only"`
	Reporter string     `json:"reporter,omitempty" is:"reporter"`
	SentAt   *time.Time `json:"sent_at,omitempty" doc:"Time of sending by the reporter's clock, to correct its times"`
	Until    *time.Time `json:"until,omitempty" doc:"All uses before this time have been reported; default: sent_at"`
}

// KeyUse is the latest use of a key.
type KeyUse struct {
	KID        string    `json:"kid" minLength:"43" maxLength:"43" pattern:"^[A-Za-z0-9_-]*$" patternDescription:"of base64url characters"`
	LastUsedAt time.Time `json:"last_used_at" doc:"A time in the future counts as now"`
	Limits     []LeftUse `json:"limits,omitempty" nullable:"false" maxItems:"24" doc:"Of the key, its plan and its owner; 2,000 in all"`
}

// LeftUse is a limit and what it still allowed after the use.
type LeftUse struct {
	On string `json:"on" enum:"key,plan,owner" doc:"Subject of the limit"`
	Limit
	Remaining int64     `json:"remaining" minimum:"0" maximum:"1000000000" doc:"Requests that would pass at once"`
	ResetAt   time.Time `json:"reset_at" doc:"When it allows all of its requests again"`
}

// RecordedUsage is the answer to a report.
type RecordedUsage struct {
	Recorded int `json:"recorded"`
	Unknown  int `json:"unknown" doc:"Keys that the workspace does not have"`
}

func (a *api) usage(h huma.API) {
	register(a, h, call{
		id: "report-usage", route: "POST /v1/workspaces/{ws}/usage", summary: "Report when keys were last used",
		scopes: []string{authz.ScopeGateway},
		description: "For gateways and other verifiers of the workspace's tokens, about once a minute. A key's last_used_at never goes back. " +
			"After 24 hours without a report, usage counts as known from the next report on.",
	}, body(a.reportUsage))
}

func (a *api) reportUsage(ctx context.Context, in *struct {
	WSPath
	Body UsageReport
},
) (recorded RecordedUsage, err error) {
	uses := make([]store.Use, len(in.Body.Keys))
	for i, k := range in.Body.Keys {
		kid, err := jwks.ParseKID(k.KID)
		if err != nil {
			return recorded, authz.Invalid(fmt.Sprintf("keys[%d].kid", i), authz.RuleNotKID)
		}
		uses[i] = store.Use{KID: kid, At: k.LastUsedAt}
		for _, l := range k.Limits {
			uses[i].Left = append(uses[i].Left, store.Left{
				On: l.On, Limit: limitsOf([]Limit{l.Limit})[0], Remaining: uint32(l.Remaining), ResetAt: l.ResetAt,
			})
		}
	}
	unknown, err := a.service.RecordUsage(ctx, in.WS, authz.UsageReport{
		Uses: uses, Reporter: cmp.Or(in.Body.Reporter, principal(ctx).KeyID.String()),
		Sent: in.Body.SentAt, Until: in.Body.Until, Incomplete: !in.Body.Complete,
	})
	return RecordedUsage{Recorded: len(uses) - unknown, Unknown: unknown}, err
}
