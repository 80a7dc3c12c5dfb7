package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// UsageReport says when keys were last used. It may list no keys: then none was used.
type UsageReport struct {
	Keys     []KeyUse  `json:"keys"`
	Complete bool      `json:"complete"`           // false: earlier uses may be missing
	Reporter string    `json:"reporter,omitempty"` // default: the id of the management key
	SentAt   time.Time `json:"sent_at,omitzero"`
	Until    time.Time `json:"until,omitzero"` // the reporter has reported all earlier uses; default: SentAt
}

// KeyUse is the last use of a key.
type KeyUse struct {
	KID        string    `json:"kid"`
	LastUsedAt time.Time `json:"last_used_at"`
}

// RecordedUsage counts the keys of a report: those whose use was recorded, and those that the workspace never had.
type RecordedUsage struct {
	Recorded int `json:"recorded"`
	Unknown  int `json:"unknown"`

	Answer
}

func (u *RecordedUsage) complete() bool {
	return u.members()["recorded"] != nil && u.members()["unknown"] != nil
}

// ReportUsage reports up to 500 keys. It returns no error only if the server has taken all of them into account.
func (c *Client) ReportUsage(ctx context.Context, workspace string, r UsageReport) (*RecordedUsage, error) {
	r.Keys = append([]KeyUse{}, r.Keys...) // not null
	taken, err := call[RecordedUsage](ctx, c, request{
		method: http.MethodPost, path: []string{workspace, "usage"}, body: r, repeatable: true,
	})
	if err == nil && taken.Recorded+taken.Unknown != len(r.Keys) {
		return nil, fmt.Errorf("%w: it does not account for all keys", errAnswer)
	}
	return taken, err
}
