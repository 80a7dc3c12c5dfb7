package gateway

import (
	"net/http"
	"testing"

	"github.com/burnkey/burnkey/jwks"
)

// A report has what the limits of a key, its plan and its owner allow, and the report itself counts nothing. A server that
// knows no limits in reports gets the use alone.
func TestReportOfLimits(t *testing.T) {
	f := limitedGateway(t, reportHourly)
	f.set(t, jwks.Attributes{Plan: "gold", Limits: []jwks.Limit{perHour("own", 5)}},
		shared(jwks.OnPlan, "gold", monthly("month", 9)), shared(jwks.OnOwner, jwks.AnyName, perHour("daily", 7)),
		shared(jwks.OnTotal, jwks.AnyName, perHour("all", 100)))
	f.stop() // it would report, too
	r, acme := reporter{Gateway: f.Gateway}, f.all()["acme"]
	want := map[string]uint32{"key own": 3, "plan month": 7, "owner daily": 5}
	f.passed(2, same(everywhere()))
	for range 2 {
		if result := r.report(t.Context(), acme); result != reported {
			t.Fatalf("report: %s", resultNames[result])
		}
		reports := f.origin.Reports("acme")
		last := reports[len(reports)-1]
		if len(last.Keys) != 1 || len(last.Keys[0].Limits) != len(want) {
			t.Fatalf("reported %+v", last.Keys)
		}
		for _, l := range last.Keys[0].Limits {
			if name := l.On + " " + l.Name; l.Remaining != want[name] || !l.ResetAt.After(last.SentAt) {
				t.Errorf("%s: %d left until %s, want %d", name, l.Remaining, l.ResetAt, want[name])
			}
			want[l.On+" "+l.Name]--
		}
		f.passed(1, same(everywhere()))
	}
	answers := []int{http.StatusUnprocessableEntity, 0}
	f.origin.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
		if !isReport(r) || answers[0] == 0 {
			return false
		}
		w.WriteHeader(answers[0])
		answers = answers[1:]
		return true
	})
	if result := r.report(t.Context(), acme); result != reported {
		t.Fatalf("to an older server: %s", resultNames[result])
	}
	reports := f.origin.Reports("acme")
	if last := reports[len(reports)-1]; len(last.Keys) != 1 || last.Keys[0].Limits != nil || !last.Complete {
		t.Errorf("to an older server: %+v", last)
	}
}
