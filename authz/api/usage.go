package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
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
}

// RecordedUsage is the answer to a report.
type RecordedUsage struct {
	Recorded int `json:"recorded"`
	Unknown  int `json:"unknown" doc:"Keys that the workspace does not have"`
}

func (a *api) usage(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "report-usage", Method: http.MethodPost, Path: "/v1/workspaces/{ws}/usage", Summary: "Report when keys were last used",
		Description: "For whoever verifies the workspace's tokens, about once a minute. A key's last_used_at only ever rises. Behind 24 hours " +
			"without a report, use counts as known from the next one on.",
		Security: anyOf(authz.ScopeGateway), BodyReadTimeout: bodyWasRead, Errors: []int{400, 401, 403, 404, 408, 413, 415, 503},
	}, a.reportUsage)
}

func (a *api) reportUsage(ctx context.Context, in *struct {
	WSPath
	Body UsageReport
},
) (*struct{ Body RecordedUsage }, error) {
	uses := make([]store.Use, len(in.Body.Keys))
	for i, k := range in.Body.Keys {
		kid, err := jwks.ParseKID(k.KID)
		if err != nil {
			return nil, a.problem(ctx, authz.Invalid(fmt.Sprintf("keys[%d].kid", i), authz.RuleNotKID))
		}
		uses[i] = store.Use{KID: kid, At: k.LastUsedAt}
	}
	unknown, err := a.service.RecordUsage(ctx, in.WS, authz.UsageReport{
		Uses: uses, Reporter: cmp.Or(in.Body.Reporter, principal(ctx).KeyID.String()),
		Sent: in.Body.SentAt, Until: in.Body.Until, Incomplete: !in.Body.Complete,
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &struct{ Body RecordedUsage }{RecordedUsage{Recorded: len(uses) - unknown, Unknown: unknown}}, nil
}
