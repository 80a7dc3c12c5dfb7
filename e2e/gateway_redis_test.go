package e2e_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/gateway/limits/redis/redistest"
)

// TestE2EGatewayRedisAway kills the Redis of a gateway and starts it again. Metrics, the log and the doctor report it,
// and the password is shown nowhere.
func TestE2EGatewayRedisAway(t *testing.T) {
	t.Parallel()
	const password = "s3cr-t"
	r := redistest.Start(t, "--requirepass", password)
	s := startServer(t)
	a := newAsked(t, s.url, "--key-file", gatewayKey(t, s.admin(), map[string]any{}), "--redis-down", "refuse")
	a.env = []string{"BURNKEY_REDIS=" + strings.Replace(r.URL(), "//", "//:"+password+"@", 1)}
	a.start()
	a.ready()
	is := func(up string) func() bool { return func() bool { return isRedisUp(a, up) } }
	eventually(t, "Redis is used", is("1"))
	r.Kill()
	eventually(t, "Redis is away", is("0"))
	diagnose(t, "--gateway", a.metrics).has(t, "redis_away")
	if code, _ := a.get("/readyz"); code != 200 {
		t.Errorf("without Redis, /readyz answers %d", code)
	}
	r.Run(t)
	eventually(t, "Redis is used again", is("1"))
	a.logs("Redis is not available: requests with limits are refused with 503", "recovered: Redis is not available")
	if log := a.log(); strings.Contains(log, password) {
		t.Errorf("the log shows the password:\n%s", log)
	}
}

// TestE2EGatewayRedisShared has two gateways, each with an Envoy, under concurrent load. Redis is killed while half of a
// key's quota is used, and starts again without its data.
func TestE2EGatewayRedisShared(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	for _, down := range []string{"local", "refuse"} {
		t.Run(down, func(t *testing.T) {
			t.Parallel()
			killUnderLoad(t, down)
		})
	}
}

// killUnderLoad expects that no more than 5 % over the quota passes. If gateways count alone, a share that one has not
// used when Redis returns is lost, so that less can pass. So is a request that Redis counted and answered too late.
func killUnderLoad(t *testing.T, down string) {
	const quota, slack = 800, 800 / 20
	keepsItsMonth(t)
	r := redistest.Start(t)
	s := startServer(t)
	admin := s.admin()
	admin.mustCreate(t, "acme")
	k := admin.mustIssue(t, "acme", "limits", month(quota))
	keyFile := gatewayKey(t, admin, map[string]any{})
	var asked [2]*asked
	var envoys [2]*gateway
	for i := range asked {
		asked[i] = startAsked(t, s, "--key-file", keyFile, "--redis", r.URL(), "--redis-down", down, "--limit-share", "0.5")
		envoys[i] = startEnvoy(t, "--mode", "gateway", "--gateway", asked[i].addr)
	}
	areUsing := func(up string) func() bool {
		return func() bool { return isRedisUp(asked[0], up) && isRedisUp(asked[1], up) }
	}
	eventually(t, "Redis is used", areUsing("1"))
	stop, passed, refused := loadOn(t, envoys[:], k.Token)
	eventually(t, "half of the quota is used", func() bool { return passed.Load() >= quota/2 })
	failures := func() int64 {
		const name = "burnkey_gateway_redis_failures_total"
		return int64(asked[0].number(t, name) + asked[1].number(t, name))
	}
	late := failures()
	r.Kill()
	eventually(t, "Redis is away", areUsing("0"))
	r.Run(t)
	eventually(t, "Redis is used again", areUsing("1"))
	late -= failures()
	before := refused.Load()
	eventually(t, "many requests are refused", func() bool { return refused.Load() > before+quota/4 })
	stop()
	n := passed.Load()
	late += failures()
	t.Logf("%d of %d requests passed; Redis was late for %d", n, quota, late)
	least, most := quota-slack-late, int64(quota+slack)
	if down == "local" {
		least -= slack
		if late > 0 { // a gateway for which Redis is late counts alone, while the other one still uses Redis
			most += quota / 2
		}
	}
	if n < least || n > most {
		t.Errorf("%d requests passed, want %d to %d", n, least, most)
	}
}

// loadOn sends requests to each Envoy by four callers until it is stopped, and counts those that pass, and those that
// a limit refuses.
func loadOn(t *testing.T, envoys []*gateway, token string) (stop func(), passed, refused *atomic.Int64) {
	passed, refused = new(atomic.Int64), new(atomic.Int64)
	var isOver atomic.Bool
	var callers sync.WaitGroup
	for i := range 4 * len(envoys) {
		callers.Go(func() {
			for !isOver.Load() {
				switch envoys[i%len(envoys)].get(t, token) {
				case http.StatusOK:
					passed.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				}
			}
		})
	}
	return func() { isOver.Store(true); callers.Wait() }, passed, refused
}

// isRedisUp reports whether a gateway's metric of its Redis has a value.
func isRedisUp(a *asked, value string) bool {
	_, metrics := a.get("/metrics")
	return strings.Contains(metrics, "\nburnkey_gateway_redis_up "+value+"\n")
}
