package postgres

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// TestRequestsUseIndexes checks that no query of a request sorts or reads a whole table. The tables are large
// enough for the planner to prefer an index.
func TestRequestsUseIndexes(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	server.Exec(t, url, `
		INSERT INTO workspaces SELECT 'w' || n, '', '{}', false, 500, 0, 0 FROM generate_series(1, 5000) n;
		UPDATE workspaces SET environment_of = 'w1', environment = id WHERE id IN ('w2', 'w3');
		INSERT INTO keys SELECT 'w' || n % 40 + 1, gen_random_uuid(), sha256(n::text::bytea), 'o' || n % 1000, 'name', '{}', '{}',
			'{}', '{}', n::text, 0, 0, n, NULL, n, NULL FROM generate_series(1, 20000) n;
		INSERT INTO jwks SELECT workspace, kid, decode(repeat('ff', 256), 'hex') FROM keys;
		INSERT INTO changes SELECT workspace, version, '', '' FROM keys;
		INSERT INTO sessions SELECT sha256(n::text::bytea), 'link', 'w1', '', 'owner', '', NULL, '', false, 0, n FROM generate_series(1, 20000) n;
		INSERT INTO suspended_jwks SELECT workspace, kid, n FROM jwks;
		INSERT INTO limit_sets SELECT 'w' || n % 40 + 1, 'plan', 'p' || n, '[]', '', '', 0, 0 FROM generate_series(1, 20000) n;
		INSERT INTO logos SELECT id, '' FROM workspaces;
		UPDATE keys SET rotated_to = id, grace_ends_at = expires_at WHERE expires_at % 10 = 0;
		INSERT INTO audit SELECT workspace, id, 0, '', '', '', 'x', id, owner, '', '{}' FROM keys;
		INSERT INTO usage SELECT workspace, id, 0 FROM keys;
		INSERT INTO usage_reports SELECT id, 0, 0, 0 FROM workspaces;
		INSERT INTO usage_reporters SELECT id, 'r' || n, 0, 0 FROM workspaces, generate_series(1, 3) n;
		ANALYZE`)
	id, kid := [16]byte(uuid.Max), make([]byte, 32)
	entry := dialect.EntryArgs(store.Recorded(t.Context(), store.Entry{Workspace: "w1", Key: uuid.Max, Owner: "o1"}))
	with := func(args ...any) []any { return append(slices.Clone(entry), args...) }
	keyed := func(args ...any) []any {
		key := with(id, kid, "o1", "", []string{}, []string{}, "", "", nil, nil, nil, nil, kid, id, nil)
		return append(append(key, nil, nil, nil, nil, nil, nil, nil), args...)
	}
	session := with(kid, "link", "", "owner", "", nil, "", false, nil, 1, false, nil)
	many := slices.Repeat([][16]byte{id}, 500)
	successors, revoked := make([]pgtype.UUID, len(many)), make([]bool, len(many))
	expires := make([]pgtype.Int8, len(many))
	type query struct {
		text string
		args []any
	}
	check := func(text, plan string) {
		t.Helper()
		if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") {
			t.Errorf("%s\n%s", text, plan)
		}
	}
	listed := storetest.Queries(t, "w1", func(q rows.Query) error {
		_, _, err := dialect.Workspaces(q, store.WorkspaceFilter{Limit: 50})
		return err
	})
	read := listed[len(listed)-1]
	for _, q := range []query{
		{selectWorkspace, []any{"w1"}},
		{lockWorkspace, []any{"w1"}},
		{read.Text, read.Args},
		{lockFirst, []any{"w1"}},
		{updateWorkspace, with("", []string{}, false, nil, "", "", nil, nil, nil)},
		{issueKey, keyed()},
		{issueKeyWithin, keyed(1, 10)},
		{selectConflict, []any{"w1", "i", kid, id}},
		{updateKey, with("", "", nil, nil, []string{}, nil, nil, nil, nil, nil, nil, nil, nil)},
		{suspendJWK, []any{"w1", kid, 1}},
		{resumeJWK, []any{"w1", kid, 1, nil, nil}},
		{alterJWK, []any{"w1", kid, 1, nil, nil}},
		{rows.SelectPlan, []any{"w1", "p1"}},
		{rows.SelectUse, []any{"w1", "p1"}},
		{rows.SelectLimits, []any{"w1", "plan", "p1"}},
		{rows.ListLimits, []any{"w1", "plan", "p1", 10}},
		{logUnsigned, []any{"w1", nil}},
		{selectKey, []any{"w1", id}},
		{lockKey, []any{"w1", id}},
		{selectKeyKID, []any{"w1", kid}},
		{selectKeyIdempotency, []any{"w1", "i"}},
		{raise, []any{"w1", pgtype.Bits{Bytes: kid, Len: 256, Valid: true}}},
		{removeKey, with(1, nil, false, false)},
		{revokeExpired, with(1)},
		{rotateKey, keyed(1, nil, 1, 10, nil, []string{}, nil, false)},
		{selectInGrace, []any{"w1", "o1", 1, 10}},
		{countActive, []any{"w1", "o1", 1, 10}},
		{rows.SelectCaller + forShare, []any{id, 1}},
		{rows.SelectMaker + forShare, []any{id, 1}},
		{rows.SelectMadeBy + forShare, []any{kid, 1}},
		{lockHome, nil},
		{undoRotation, with(id, 1, nil, []string{}, nil, nil, nil, nil, nil, false)},
		{selectDue, []any{1, "w1", id, 100, 10}},
		{selectNextDue, nil},
		{selectThese, []any{"w1", many[:1]}},
		{selectThese, []any{"w1", many}},
		{retireKeys, []any{"w1", many[:1], successors[:1], revoked[:1], 1, revoked[:1], expires[:1]}},
		{retireKeys, []any{"w1", many, successors, revoked, 1, revoked, expires}},
		{selectLogo, []any{"w1"}},
		{upsertLogo, []any{"w1", kid}},
		{deleteLogo, []any{"w1"}},
		{insertSession, session},
		{exchangeSession, append(session, kid)},
		{selectSession, []any{kid, 1}},
		{endSession, with(kid)},
		{pruneSessions, []any{1, 10}},
		{lockReports, []any{"w1", 1, 1, false, 1}},
		{recordUsage, []any{"w1", [][]byte{kid}, []int64{1}, []*string{nil}, 1, "r1", 1, 1}},
		{recordPartial, []any{"w1", [][]byte{kid}, []int64{1}, []*string{nil}, 1}},
		{selectVersion, []any{"w1"}},
		{selectChanges, []any{"w1", 100, 10}},
		{selectLog, []any{"w1"}},
		{compactChanges, []any{"w1", 1, 100}},
	} {
		plan := explain(t, s, q.text, q.args)
		if strings.HasPrefix(q.text, recordUses) { // sorts the rows of the report
			plan = strings.ReplaceAll(plan, "Sort", "")
		}
		check(q.text, plan)
		if strings.Contains(q.text, inGrace) && !strings.Contains(plan, "keys_in_grace") {
			t.Errorf("the count of keys in their grace uses another index:\n%s", plan)
		}
	}
	for _, q := range ofEnvironments(t) {
		plan := explain(t, s, q.Text, q.Args)
		if check(q.Text, plan); !strings.Contains(plan, "workspaces_by_first") {
			t.Errorf("%s\ndoes not use the index:\n%s", q.Text, plan)
		}
	}
	for _, f := range []store.Filter{
		{},
		{Owner: "o1"},
		{After: uuid.Max},
		{Owner: "o1", After: uuid.Max},
		{Status: store.Active},
		{Status: store.Expired, Owner: "o1"},
		{Query: "q"},
		{Query: uuid.NewString(), Owner: "o1"},
		{Query: strings.Repeat("A", 43), Status: store.Revoked},
		{Status: store.Deprecated, Owner: "o1"},
		{Live: true},
		{Live: true, Owner: "o1", Scope: "x", CreatedBefore: time.Now()},
		{Live: true, UnusedSince: time.Now()},
		{Owner: "o1", UnusedSince: time.Now()},
	} {
		f.Limit = 50
		f.Rows = 100
		listed := storetest.Queries(t, f.Query, func(q rows.Query) error {
			_, _, err := dialect.Keys(q, "w1", f)
			return err
		})
		pick := listed[len(listed)-2]
		for _, q := range listed[:len(listed)-2] {
			check(q.Text, explain(t, s, q.Text, q.Args))
		}
		plan := explain(t, s, pick.Text, pick.Args)
		index := "keys_by_owner"
		if f.Status == store.Deprecated {
			index = "keys_in_grace"
		}
		if f.Owner != "" && !strings.Contains(plan, index) {
			t.Errorf("%+v does not use %s:\n%s", f, index, plan)
		}
		if f.Query != "" {
			// A search always reads all keys of the workspace or the owner, so a sort is acceptable.
			plan = strings.ReplaceAll(plan, "Sort", "")
		}
		check(pick.Text, plan)
	}
}

// ofEnvironments returns the queries that find the environments of a workspace.
func ofEnvironments(t *testing.T) []storetest.Query {
	t.Helper()
	listed := storetest.Queries(t, "w2", func(q rows.Query) error {
		_, _, err := dialect.Workspaces(q, store.WorkspaceFilter{EnvironmentOf: "w1", Limit: store.MaxEnvironments})
		return err
	})
	return []storetest.Query{{Text: lockEnvironments, Args: []any{"w1"}}, listed[0]}
}

// TestTheAuditUsesIndexes: a list by owner, key or time reads only the entries that it returns.
func TestTheAuditUsesIndexes(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	server.Exec(t, url, `INSERT INTO audit
		SELECT 'w' || n % 40, gen_random_uuid(), 0, '', '', '', 'x', gen_random_uuid(), 'o' || n % 1000, '', '{}'
		FROM generate_series(1, 20000) n; ANALYZE`)
	for _, c := range []struct {
		filter store.AuditFilter
		index  string
	}{
		{store.AuditFilter{}, "audit_pkey"},
		{store.AuditFilter{After: uuid.Max}, "audit_pkey"},
		{store.AuditFilter{Owner: "o1"}, "audit_by_owner"},
		{store.AuditFilter{Owner: "o1", Action: "x", After: uuid.Max}, "audit_by_owner"},
		{store.AuditFilter{Key: uuid.Max}, "audit_by_key"},
		{store.AuditFilter{Until: time.Now()}, "audit_pkey"},
	} {
		c.filter.Limit = 50
		pick := storetest.Queries(t, "", func(q rows.Query) error {
			_, _, err := dialect.Audit(q, "w1", c.filter)
			return err
		})[0]
		plan := explain(t, s, pick.Text, pick.Args)
		if !strings.Contains(plan, c.index) || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%+v does not use %s:\n%s", c.filter, c.index, plan)
		}
	}
}

// TestListsOfRequestsUseIndexes: a list by status, owner or key reads only the requests that it returns.
func TestListsOfRequestsUseIndexes(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	server.Exec(t, url, `INSERT INTO requests
		SELECT 'w' || n % 4, gen_random_uuid(), gen_random_uuid(), 'o' || n % 1000, 'plan', '{}', '',
			CASE WHEN n % 100 = 0 THEN 'open' ELSE 'declined' END,
			0, NULL, NULL, NULL, '', CASE WHEN n % 100 = 0 THEN 'created' END
		FROM generate_series(1, 20000) n; ANALYZE`)
	check := func(text string, args []any, index string) {
		t.Helper()
		if plan := explain(t, s, text, args); !strings.Contains(plan, index) || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s does not use %s:\n%s", text, index, plan)
		}
	}
	for index, f := range map[string]store.RequestFilter{
		"requests_pkey": {}, "requests_open": {Status: store.RequestOpen}, "requests_by_owner": {Owner: "o1"},
		"requests_by_key": {Key: uuid.Max},
	} {
		f.Limit = 50
		pick := storetest.Queries(t, "", func(q rows.Query) error {
			_, _, err := dialect.Requests(q, "w1", f)
			return err
		})[0]
		check(pick.Text, pick.Args, index)
	}
	check(rows.ListUnsent, []any{"w1", [16]byte(uuid.Max), 50}, "requests_unsent")
	check(rows.CountOpen, []any{"w0", 50}, "requests_")
	check(rows.CountOpenOfOwner, []any{"w0", "o1", 50}, "requests_by_owner")
	check(rows.SelectOpen, []any{"w0", [16]byte(uuid.Max), "plan"}, "requests_")
}

// TestOperatorsUseIndexes: lists in an order, searches of all workspaces and counts sort nothing and read no whole table.
func TestOperatorsUseIndexes(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	server.Exec(t, url, `
		INSERT INTO keys SELECT 'w' || n % 4, gen_random_uuid(), sha256(n::text::bytea), 'o' || n % 1000, 'name' || n, '{}', '{}',
			'{}', '{}', n::text, 0, 0, n, NULL, n, NULL FROM generate_series(1, 20000) n;
		INSERT INTO audit SELECT workspace, id, 0, '', '', '', 'x', id, owner, CASE WHEN version % 50 = 0 THEN 'refused' ELSE 'ok' END, '{}'
			FROM keys;
		INSERT INTO usage SELECT workspace, id, version FROM keys`)
	server.Exec(t, url, `VACUUM ANALYZE keys, audit, usage`)
	for index, queries := range storetest.OperatorQueries(t, &dialect, "w1") {
		for _, query := range queries {
			plan := explain(t, s, query.Text, query.Args)
			if !strings.Contains(plan, index) || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") {
				t.Errorf("%s %v does not use %s:\n%s", query.Text, query.Args, index, plan)
			}
		}
	}
}

// TestReportersUseIndexes: a report does not read reporters that it does not change.
func TestReportersUseIndexes(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Schema(t)
	s := openTest(t, url)
	server.Exec(t, url, `INSERT INTO usage_reporters SELECT 'w' || n % 4, 'r' || n, n, n FROM generate_series(1, 20000) n; ANALYZE`)
	for text, args := range map[string][]any{
		`SELECT min(until) FROM usage_reporters WHERE workspace = $1`:                              {"w1"},
		`DELETE FROM usage_reporters WHERE workspace = $1 AND reporter <> $2 AND reported_at < $3`: {"w1", "r1", int64(5)},
		deleteOldest: {"w1", "r1", store.MaxReporters - 1, int64(5)},
	} {
		if plan := explain(t, s, text, args); !strings.Contains(plan, "usage_reporters_by_") {
			t.Errorf("%s\n%s", text, plan)
		}
	}
}

func explain(t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	rows, _ := s.pool.Query(t.Context(), "EXPLAIN (COSTS OFF) "+query, args...) // its error is rows.Err
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return strings.Join(lines, "\n")
}
