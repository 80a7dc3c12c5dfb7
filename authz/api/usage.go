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

// UsageReport is the body by which a gateway says when keys were used.
type UsageReport struct {
	Keys     []KeyUse   `json:"keys" nullable:"false" maxItems:"500" doc:"May be empty: then it says that there was no use to tell of"`
	Complete bool       `json:"complete" doc:"false: uses before this report may have been missed, so that use counts as known from now on"`
	Reporter string     `json:"reporter,omitempty" is:"reporter" doc:"Who reports: use is known up to when the last of all reporters has told of it, but those that are silent for 24 hours. The management key, where absent"`
	SentAt   *time.Time `json:"sent_at,omitempty" doc:"The reporter's clock, by which its times are put right"`
	Until    *time.Time `json:"until,omitempty" doc:"There is no use before this time of which the reporter has not told; sent_at, where absent"`
}

// KeyUse is when a key was used last.
type KeyUse struct {
	KID        string    `json:"kid" minLength:"43" maxLength:"43" pattern:"^[A-Za-z0-9_-]*$" patternDescription:"of base64url characters"`
	LastUsedAt time.Time `json:"last_used_at" doc:"A time in the future counts as now"`
}

// RecordedUsage says what became of a report.
type RecordedUsage struct {
	Recorded int `json:"recorded"`
	Unknown  int `json:"unknown" doc:"Keys that the workspace has not had"`
}

func (a *api) usage(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "report-usage", Method: http.MethodPost, Path: "/v1/workspaces/{ws}/usage", Summary: "Say when keys were used last",
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
