package e2e_test

import (
	"strings"
	"testing"

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
	is := func(up string) func() bool {
		return func() bool {
			_, metrics := a.get("/metrics")
			return strings.Contains(metrics, "\nburnkey_gateway_redis_up "+up+"\n")
		}
	}
	eventually(t, "Redis is used", is("1"))
	r.Kill()
	eventually(t, "Redis is away", is("0"))
	diagnose(t, "--gateway", a.metrics).has(t, "redis_away")
	if code, _ := a.get("/readyz"); code != 200 {
		t.Errorf("without Redis, /readyz answers %d", code)
	}
	r.Run(t)
	eventually(t, "Redis is used again", is("1"))
	log := a.log()
	says(t, log, "Redis is not available: requests with limits are refused with 503", "recovered: Redis is not available")
	if strings.Contains(log, password) {
		t.Errorf("the log shows the password:\n%s", log)
	}
}
