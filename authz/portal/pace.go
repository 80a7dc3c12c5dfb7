package portal

import (
	"log/slog"
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/internal/pace"
)

// ownerPace limits the requests of each owner, so that one customer with many connections does not use up
// the CPU. Even refusing a request has a cost.
var ownerPace = pace.Rate{Burst: 100, Refill: time.Second / 20}

// longestWait is the longest wait for a turn. A request that would have to wait longer is refused after
// this time, which slows down clients that retry at once.
const longestWait = 5 * time.Second

// keepPace waits until the owner's next request is due. Revocations are limited separately. Errors:
// *authz.BudgetError, the context's cause.
func (v *visit) keepPace() error {
	name := v.workspace.ID + " " + v.session.Owner
	if strings.HasSuffix(v.r.Pattern, "/revoke") {
		name = "revoke " + name
	}
	wait, ok := v.paces.Take(name, ownerPace, 1, longestWait, time.Now())
	if !ok {
		v.warnings.For(v.log, "pace").LogAttrs(v.r.Context(), slog.LevelWarn, "an owner's requests are refused: there are too many",
			slog.String("request_id", v.requestID()), slog.String("workspace", v.workspace.ID))
	}
	if err := loop.Sleep(v.r.Context(), min(wait, longestWait)); err != nil {
		return err
	}
	if !ok {
		return &authz.BudgetError{After: longestWait}
	}
	return nil
}
