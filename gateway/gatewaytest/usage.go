package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// A Report is a usage report that an Origin received.
type Report struct {
	Workspace string `json:"-"`
	Keys      []struct {
		KID        string    `json:"kid"`
		LastUsedAt time.Time `json:"last_used_at"`
		Limits     []struct {
			On        string    `json:"on"`
			Name      string    `json:"name"`
			Remaining uint32    `json:"remaining"`
			ResetAt   time.Time `json:"reset_at"`
		} `json:"limits"`
	} `json:"keys"`
	Complete bool      `json:"complete"`
	Reporter string    `json:"reporter"`
	SentAt   time.Time `json:"sent_at"`
	Until    time.Time `json:"until"`
}

const reportKeysMax = 500

func (r *Report) valid() bool {
	return r.Reporter != "" && !r.SentAt.IsZero() && r.Until.Before(r.SentAt) && r.Keys != nil && len(r.Keys) <= reportKeysMax
}

func (o *Origin) takeReport(w http.ResponseWriter, r *http.Request) {
	report := Report{Workspace: r.PathValue("ws")}
	err := json.NewDecoder(r.Body).Decode(&report)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+ManagementKey:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case err != nil || !report.valid() || r.Header.Get("Content-Type") != "application/json":
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reports = append(o.reports, report)
	fmt.Fprintf(w, `{"recorded":%d,"unknown":0}`, len(report.Keys))
}

// Reports returns the reports about a workspace.
func (o *Origin) Reports(workspace string) (reports []Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.reports {
		if r.Workspace == workspace {
			reports = append(reports, r)
		}
	}
	return reports
}

// Used returns when each key of a workspace was last used, according to the reports.
func (o *Origin) Used(workspace string) map[string]time.Time {
	all := map[string]time.Time{}
	for _, r := range o.Reports(workspace) {
		for _, k := range r.Keys {
			if k.LastUsedAt.After(all[k.KID]) {
				all[k.KID] = k.LastUsedAt
			}
		}
	}
	return all
}
