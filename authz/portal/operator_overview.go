package portal

import (
	"net/http"
	"strconv"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// overviewPage is the data of an operator's start page.
type overviewPage struct {
	store.Overview
	Days  int    // ahead, for Expiring
	Hours int    // ago, for Refused
	Since string // yyyy-mm-dd
}

func showOverview(v *visit) error {
	v.remember()
	o, err := v.service.Overview(v.context(), v.workspace.ID)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "overview", "overview.title", &overviewPage{
		Overview: o, Days: int(authz.ExpiresSoon / day), Hours: int(authz.RefusedLately / time.Hour),
		Since: v.now().Add(-authz.RefusedLately).UTC().Format(time.DateOnly),
	})
}

// Keys formats a number of keys. The overview counts only so many.
func (p *overviewPage) Keys(n int) string {
	if p.More {
		return strconv.Itoa(n) + "+"
	}
	return strconv.Itoa(n)
}

// Events formats a number of requests or refusals.
func (p *overviewPage) Events(n int) string {
	if n >= authz.MostEvents {
		return strconv.Itoa(n) + "+"
	}
	return strconv.Itoa(n)
}
