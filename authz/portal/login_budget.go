package portal

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/pace"
)

// Anybody can make this server call a provider by starting logins. Logins are therefore limited per
// address (which a whole office may share), per workspace, and in total.
var (
	loginsOfAddress   = pace.Rate{Burst: 20, Refill: time.Second / 2}
	loginsOfWorkspace = pace.Rate{Burst: 60, Refill: time.Second / 6}
	loginsOfAll       = pace.Rate{Burst: 200, Refill: time.Second / 20}
)

// loginBudget limits the calls to providers. It is safe for concurrent use.
type loginBudget struct {
	refused  *prometheus.CounterVec
	log      *slog.Logger
	warnings logs.Throttle
	limits   pace.Limiter
}

func newLoginBudget(metrics prometheus.Registerer, log *slog.Logger) *loginBudget {
	b := &loginBudget{log: log, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "burnkey_portal_logins_deferred_total",
		Help: "OpenID logins deferred because there were too many, by limit: address, workspace or all.",
	}, []string{"by"})}
	for _, by := range []string{"address", "workspace", "all"} {
		b.refused.WithLabelValues(by)
	}
	if metrics != nil {
		metrics.MustRegister(b.refused)
	}
	return b
}

// take counts a login. Errors: *failure, after which the state and the code are still valid.
func (b *loginBudget) take(workspace, from string, now time.Time) error {
	for _, limit := range []struct {
		by, of string
		pace.Rate
	}{
		{"address", clientaddr.Network(from), loginsOfAddress},
		{"workspace", workspace, loginsOfWorkspace},
		{"all", "", loginsOfAll},
	} {
		if wait, ok := b.limits.Take(limit.by+" "+limit.of, limit.Rate, 1, 0, now); !ok {
			b.refused.WithLabelValues(limit.by).Inc()
			b.warnings.For(b.log, "").Warn(
				"logins are deferred: there are too many at once; burnkey_portal_logins_deferred_total counts them",
				"by", limit.by, "workspace", workspace, "address", from)
			return &failure{status: http.StatusTooManyRequests, name: "login.many", retry: wait}
		}
	}
	return nil
}
