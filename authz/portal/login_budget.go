package portal

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/logs"
)

// Anyone can make this server call a provider by logging in. So the logins in each budgetTime
// are limited by address (possibly that of a whole office), by workspace, and in total.
const (
	budgetTime       = 10 * time.Second
	loginsOfAddress  = 20
	loginsOfOneSpace = 60
	loginsOfAll      = 200
)

// loginsDeferred means that there are too many logins at once. The state and the code stay valid.
type loginsDeferred struct{ after time.Duration } // time until a retry

func (e *loginsDeferred) Error() string { return "too many logins at once" }

// budget limits the calls to providers. It is safe for concurrent use.
type budget struct {
	refused *prometheus.CounterVec
	log     *slog.Logger
	warned  logs.Throttle

	mu    sync.Mutex
	since time.Time
	taken map[[2]string]int // by limit and by whose, since then
}

func newBudget(metrics prometheus.Registerer, log *slog.Logger) *budget {
	b := &budget{log: log, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
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

// take counts a login and returns 0, or returns the time until it may be tried again.
func (b *budget) take(workspace, from string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if age := now.Sub(b.since); b.taken == nil || age >= budgetTime || age < 0 {
		b.since, b.taken = now, make(map[[2]string]int) // has at most loginsOfAll addresses
	}
	bounds := []struct {
		by, of string
		most   int
	}{{"address", clientaddr.Network(from), loginsOfAddress}, {"workspace", workspace, loginsOfOneSpace}, {"all", "", loginsOfAll}}
	for _, bound := range bounds {
		if b.taken[[2]string{bound.by, bound.of}] >= bound.most {
			b.refuse(bound.by, workspace, from)
			return b.since.Add(budgetTime).Sub(now)
		}
	}
	for _, bound := range bounds {
		b.taken[[2]string{bound.by, bound.of}]++
	}
	return 0
}

func (b *budget) refuse(by, workspace, from string) {
	b.refused.WithLabelValues(by).Inc()
	b.warned.For(b.log, "").Warn("logins are deferred: there are too many at once; burnkey_portal_logins_deferred_total counts them",
		"by", by, "workspace", workspace, "address", from)
}
