package portal

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Whoever has a browser can have this server call a provider, once a login. So many may in
// each budgetTime: of one address, which may be an office's, of one workspace, and in all.
const (
	budgetTime       = 10 * time.Second
	loginsOfAddress  = 20
	loginsOfOneSpace = 60
	loginsOfAll      = 200
	// warnEvery is how often the log says that somebody was turned away.
	warnEvery = time.Minute
)

// budget bounds the calls of providers. It is safe for concurrent use.
type budget struct {
	refused *prometheus.CounterVec
	log     *slog.Logger

	mu     sync.Mutex
	since  time.Time
	taken  map[[2]string]int // by what and of whom, since then
	warned time.Time
}

func newBudget(metrics prometheus.Registerer, log *slog.Logger) *budget {
	b := &budget{log: log, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "burnkey_portal_logins_deferred_total",
		Help: "Logins by OpenID that were to be tried again later, by whose there were too many of: address, workspace or all.",
	}, []string{"by"})}
	for _, by := range []string{"address", "workspace", "all"} {
		b.refused.WithLabelValues(by)
	}
	if metrics != nil {
		metrics.MustRegister(b.refused)
	}
	return b
}

// take counts one more, and returns 0; or it counts none, and returns when to try again.
func (b *budget) take(workspace, from string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if age := now.Sub(b.since); b.taken == nil || age >= budgetTime || age < 0 {
		b.since, b.taken = now, make(map[[2]string]int) // of no more than loginsOfAll addresses
	}
	bounds := []struct {
		by, of string
		most   int
	}{{"address", networkOf(from), loginsOfAddress}, {"workspace", workspace, loginsOfOneSpace}, {"all", "", loginsOfAll}}
	for _, bound := range bounds {
		if b.taken[[2]string{bound.by, bound.of}] >= bound.most {
			b.refuse(bound.by, workspace, from, now)
			return b.since.Add(budgetTime).Sub(now)
		}
	}
	for _, bound := range bounds {
		b.taken[[2]string{bound.by, bound.of}]++
	}
	return 0
}

func (b *budget) refuse(by, workspace, from string, now time.Time) {
	b.refused.WithLabelValues(by).Inc()
	if now.Sub(b.warned) < warnEvery {
		return
	}
	b.warned = now
	b.log.Warn("logins are deferred: there are too many at once; burnkey_portal_logins_deferred_total counts them",
		"by", by, "workspace", workspace, "address", from)
}

// networkOf is an address as one caller has it: of IPv6, the network, in which they have all.
func networkOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	network, _ := ip.WithZone("").Prefix(64) // 64 is in range
	return network.String()
}
