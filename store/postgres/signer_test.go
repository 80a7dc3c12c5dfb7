package postgres

import (
	"strings"
	"testing"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// TestTheExchangeUsesIndexes: servers often ask for the few workspaces with an exchange and
// the few signers to remove.
func TestTheExchangeUsesIndexes(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	server.Exec(t, url, `INSERT INTO workspaces (id, name, audiences, allow_never_expires, version, policy)
			SELECT 'w' || n, '', '{}', false, 1, CASE WHEN n % 1000 = 0 THEN '{"exchange":{"enabled":true}}' ELSE '{}' END
			FROM generate_series(1, 20000) n;
		INSERT INTO signers SELECT 'w' || n, sha256(n::text::bytea), 0, 0, n FROM generate_series(1, 20000) n; ANALYZE`)
	for _, q := range []struct {
		text  string
		args  []any
		index string
	}{
		{selectExchanging, []any{256}, "workspaces_exchanging"},
		{selectSignersDue, []any{20, 10}, "signers_due"},
		{selectSigners, []any{"w1"}, "signers_pkey"},
	} {
		if plan := explain(t, s, q.text, q.args); !strings.Contains(plan, q.index) || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s does not use %s:\n%s", q.text, q.index, plan)
		}
	}
	if list, err := s.Exchanging(t.Context(), 100); err != nil || len(list) != 20 || list[0].Exchange != (store.Exchange{Enabled: true}) {
		t.Errorf("%d workspaces, %v", len(list), err)
	}
}
