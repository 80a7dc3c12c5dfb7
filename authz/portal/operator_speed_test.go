package portal_test

import (
	"database/sql"
	"os"
	"strconv"
	"testing"
	"time"
)

// fill adds n keys of n/100 owners: a fifth revoked, a tenth that expire within 30 days, some suspended, half of them used.
func (s *site) fill(n int) {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.file)
	check(s.t, err)
	defer func() { check(s.t, db.Close()) }()
	now := s.clock().UnixMicro()
	const day = 86400e6
	for _, query := range []string{
		`WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < $1)
			INSERT INTO keys (workspace, id, kid, owner, name, scopes, audience, claims, metadata, created_at, updated_at, expires_at,
				revoked_at, revoked_version, version, suspended_at)
			SELECT 'acme', unhex(printf('%012x7000800000000000%04x', $2 / 1000 + n, n % 65536)), randomblob(32), 'cust_' || (n * 7919 % ($1 / 100)),
				'Key ' || (n * 104729 % $1) || ' of a shop', '["maps:read"]', '["acme"]', '{}', '{"team":"shop"}', $2, $2,
				$2 + CASE n % 10 WHEN 0 THEN 20 ELSE 90 END * $3 + n, CASE WHEN n % 5 = 1 THEN $2 END, CASE WHEN n % 5 = 1 THEN n END, n,
				CASE WHEN n % 1000 = 7 THEN $2 END FROM i`,
		`INSERT INTO usage (workspace, id, last_used_at) SELECT workspace, id, $2 - rowid FROM keys WHERE rowid % 2 = 0 AND $1 = $1 AND $3 = $3`,
		`INSERT INTO usage_reports SELECT 'acme', $2, $2, $2 WHERE $1 = $1 AND $3 = $3`,
	} {
		_, err := db.ExecContext(s.t.Context(), query, n, now, int64(day))
		check(s.t, err)
	}
}

// fastest returns the time of the fastest of three requests, since other tests share the processor.
func fastest(v *visitor, path string) time.Duration {
	took := time.Hour
	for range 3 {
		begin := time.Now()
		v.get(path).want(200)
		took = min(took, time.Since(begin))
	}
	return took
}

// With BURNKEY_PORTAL_KEYS=100000, each page of operators takes less than 200 ms.
func TestOperatorsPagesWithManyKeys(t *testing.T) {
	t.Parallel()
	n, limited := 2000, false
	if text := os.Getenv("BURNKEY_PORTAL_KEYS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		check(t, err)
		limited = true
	}
	s := newSite(t)
	s.fill(n)
	v := s.operator("acme")
	const root = "/portal/acme/operator"
	for _, path := range []string{
		"/overview", "/keys", "/keys?size=100", "/keys?sort=created", "/keys?sort=name", "/keys?sort=-name&status=active", "/keys?sort=owner",
		"/keys?sort=expires", "/keys?sort=-used", "/keys?sort=used", "/keys?status=active", "/keys?status=expiring",
		"/keys?status=expiring&sort=name", "/keys?status=suspended", "/keys?status=revoked&sort=-expires", "/keys?status=deprecated",
		"/keys?q=shop", "/keys?q=nothing", "/keys?owner=cust_7&sort=name", "/owner?owner=cust_7", "/revoke?owner=cust_7",
		"/revoke?owner=cust_7&do=pause",
	} {
		next := v.get(root + path).want(200).next()
		took := fastest(v, root+path)
		if next != "" {
			took = max(took, fastest(v, next))
		}
		t.Logf("%-40s %v", path, took.Round(100*time.Microsecond))
		if limited && took > 200*time.Millisecond {
			t.Errorf("%s takes %v with %d keys", path, took, n)
		}
	}
	if o, err := s.Overview(t.Context(), "acme"); err != nil || o.Active != n*4/5-n/1000 || o.Suspended != n/1000 || o.Expiring != n/10 {
		t.Errorf("the overview of %d keys is %+v, %v", n, o, err)
	}
}
