package doctor

import (
	"context"
	"fmt"
	"strings"
)

func (e *exam) lookAtGateway(ctx context.Context) {
	base := e.Gateway
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	base = strings.TrimRight(base, "/")
	target := "gateway " + shown(base)
	e.checkPlain(Note, target, base)
	if !e.checkReady(ctx, target, base) {
		return
	}
	m, err := e.metrics(ctx, base)
	if err != nil {
		e.add("unreachable", target, "Its metrics can't be read: "+err.Error()+".")
		return
	}
	if _, ok := m["burnkey_gateway_workspaces"]; !ok {
		e.add("unreachable", target, "It is not a burnkey gateway: it has no metric burnkey_gateway_workspaces.")
		return
	}
	if version := m.version(); version != "" {
		e.noteVersion(target, version)
	}
	e.checkGateway(target, m)
}

func (e *exam) checkGateway(target string, m metrics) {
	count := func(name string) float64 { return m.value("burnkey_gateway_"+name, "", "") }
	if count("issuer_mismatch") > 0 {
		e.add("gateway_issuer", target, "The server has another issuer than the gateway expects.")
	}
	switch stale, age := count("workspaces_stale"), count("age_seconds_max"); {
	case stale > 0:
		e.add("set_stale", target, fmt.Sprintf("The keys of %g workspaces are older than --max-staleness.", stale))
	case age > mostAge.Seconds():
		e.add("set_stale", target, fmt.Sprintf("Its oldest keys were last known to be current %.0f s ago.", age))
	}
	if n := count("workspaces_polling"); n > 0 {
		e.add("polling", target, fmt.Sprintf("%g workspaces receive their changes by polling instead of a stream.", n))
	}
	if n := count("state_errors"); n > 0 {
		e.add("state_failures", target, fmt.Sprintf("%g writes of state files failed.", n))
	}
	if count("redis_up") == 0 {
		e.add("redis_away", target, "It does not reach its Redis.")
	}
	refused := m.value("burnkey_gateway_usage_reports_total", "result", "refused")
	if rejected := m.value("burnkey_gateway_usage_reports_total", "result", "rejected"); refused > 0 || rejected > 0 {
		e.add("usage_refused", target, fmt.Sprintf("The server refused %g reports of use.", max(refused, rejected)))
	}
}
