package portal

import (
	"net/http"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// settingsPage is the content of the page of what the workspace is set to. It changes
// nothing: that is the API's.
type settingsPage struct {
	W                store.Workspace
	Max, Default     time.Duration // lives of keys
	DefaultAudiences []string      // of keys that name none
	Never            bool          // keys may have no end
}

func showSettings(v *visit) error {
	v.remember()
	p := &settingsPage{
		W: v.workspace, Max: time.Duration(v.maxLife()) * time.Second, Default: time.Duration(v.defaultLife()) * time.Second,
		DefaultAudiences: v.workspace.Policy.DefaultAudience, Never: authz.MayNeverExpire(&v.workspace),
	}
	if len(p.DefaultAudiences) == 0 {
		p.DefaultAudiences = v.workspace.Audiences
	}
	return v.render(http.StatusOK, "settings", "settings.title", p)
}
