package storetest

import (
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

var usageTests = []test{
	{"is stored and only ever rises", usageRises},
	{"has what limits allowed at the latest use", usageLeft},
	{"comes with every record", usageComesBack},
	{"is no change", usageIsNoChange},
	{"counts unknown kids", usageUnknown},
	{"is known since the first report, or since the last gap", usageSince},
	{"is known up to the earliest time that a reporter has reached", usageUntil},
	{"of a partial report is recorded and says nothing about other keys", usagePartial},
	{"selects keys that are old and unused", usageFilter},
	{"of a key selects neither it nor its parent", usageBelow},
	{"is stored for concurrent reports", usageRace},
	{"is reported by so many and no more", usageReporters},
	{"refuses what has no time and no workspace", usageRefused},
}

// used records one use of each key at the time `at`, and returns how many kids are unknown.
func (e env) used(workspace string, at time.Time, keys ...store.Key) int {
	e.Helper()
	uses := make([]store.Use, len(keys))
	for i, k := range keys {
		uses[i] = store.Use{KID: k.KID, At: at}
	}
	unknown, err := e.RecordUsage(e.ctx, workspace, uses, store.Report{At: now})
	e.ok(err)
	return unknown
}

func usageRises(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	e.equal("unused", k.LastUsedAt, time.Time{})
	for _, step := range []struct{ at, want time.Time }{
		{now.Add(999).In(time.FixedZone("", 60)), now},
		{now.Add(time.Hour), now.Add(time.Hour)},
		{now, now.Add(time.Hour)},
		{now.Add(time.Hour + time.Microsecond), now.Add(time.Hour + time.Microsecond)},
	} {
		e.equal("unknown", e.used("acme", step.at, k), 0)
		e.equal("last used", e.key(k).LastUsedAt, step.want)
	}
	// If a report names a key twice, the later use counts.
	twice := []store.Use{{KID: k.KID, At: now.Add(3 * time.Hour)}, {KID: k.KID, At: now.Add(2 * time.Hour)}}
	unknown, err := e.RecordUsage(e.ctx, "acme", twice, store.Report{At: now})
	e.ok(err)
	e.equal("unknown", unknown, 0)
	e.equal("last used", e.key(k).LastUsedAt, now.Add(3*time.Hour))
	e.ok(e.Close())
	e.Store = e.open()
	e.equal("opened again", e.key(k).LastUsedAt, now.Add(3*time.Hour))
}

func usageComesBack(e env) {
	e.create("acme")
	k := NewRecord("acme", "o")
	k.IdempotencyKey = "once"
	k, _ = e.issue(k)
	other, _ := e.issue(NewRecord("acme", "o"))
	used := now.Add(time.Minute)
	e.used("acme", used, k)
	k.LastUsedAt = used
	e.equal("the record", e.key(k), k)
	e.equal("the list", e.list("acme", store.Filter{}), []store.Key{other, k})
	got, err := e.KeyByKID(e.ctx, "acme", k.KID)
	e.ok(err)
	e.equal("by kid", got, k)
	got, err = e.KeyByIdempotencyKey(e.ctx, "acme", "once")
	e.ok(err)
	e.equal("by idempotency key", got, k)
	got, err = e.UpdateKey(e.ctx, "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { k.LastUsedAt = time.Time{}; return nil })
	e.ok(err)
	e.equal("updated", got, k)
	rotated, next := e.rotate(k)
	e.equal("rotated", rotated.LastUsedAt, used)
	e.equal("its successor", next.LastUsedAt, time.Time{})
	e.used("acme", used.Add(time.Second), next)
	old, undone, err := e.UndoRotation(e.ctx, "acme", k.ID, uuid.Nil, now)
	e.ok(err)
	e.equal("undone", []time.Time{old.LastUsedAt, undone.LastUsedAt}, []time.Time{used, used.Add(time.Second)})
	e.equal("revoked", e.revoke(k).LastUsedAt, used)
	e.equal("revoked again", e.revoke(k).LastUsedAt, used)
	e.used("acme", used.Add(time.Hour), k) // a gateway may have seen it before
	e.equal("used once revoked", e.key(k).LastUsedAt, used.Add(time.Hour))
	aged := NewRecord("acme", "o")
	aged, _ = e.issue(aged)
	e.used("acme", used, aged)
	_, err = e.Retire(e.ctx, "acme", []uuid.UUID{aged.ID}, aged.ExpiresAt)
	e.ok(err)
	e.equal("expired, then revoked", e.revoke(aged).LastUsedAt, used)
}

func usageIsNoChange(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	audit := e.audit("acme", store.AuditFilter{})
	before, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.used("acme", now, k)
	after, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	before.Usage = after.Usage
	e.equal("the workspace", after, before)
	e.equal("the audit", e.audit("acme", store.AuditFilter{}), audit)
	e.consistent("acme")
}

func usageUnknown(e env) {
	_, tombstone := e.create("acme")
	e.create("other")
	mine, _ := e.issue(NewRecord("acme", "o"))
	theirs, _ := e.issue(NewRecord("other", "o"))
	e.equal("unknown", e.used("acme", now, theirs, mine, store.Key{KID: tombstone.KID()}, store.Key{KID: jwks.KID{1}}), 3)
	e.equal("mine", e.key(mine).LastUsedAt, now)
	e.equal("theirs", e.key(theirs).LastUsedAt, time.Time{})
	w, err := e.Workspace(e.ctx, "other")
	e.ok(err)
	e.equal("the other's reports", w.Usage, store.Reported{})
}

func usageSince(e env) {
	e.create("acme")
	e.create("quiet")
	since := now
	report := func(at time.Time, incomplete bool, wantSince, wantAt time.Time) {
		e.Helper()
		_, err := e.RecordUsage(e.ctx, "acme", nil, store.Report{At: at, Incomplete: incomplete})
		e.ok(err)
		w, err := e.Workspace(e.ctx, "acme")
		e.ok(err)
		e.equal("reported", w.Usage, store.Reported{Since: wantSince, Until: wantAt, At: wantAt})
	}
	report(since.Add(999), false, since, since)
	at := since.Add(store.UsageGap)
	report(at, false, since, at)
	report(at.Add(-time.Hour), false, since, at) // servers' clocks differ
	late := at.Add(store.UsageGap + time.Microsecond)
	report(late, false, late, late)
	report(late.Add(time.Minute), true, late.Add(time.Minute), late.Add(time.Minute))
	report(late, true, late.Add(time.Minute), late.Add(time.Minute)) // and neither time goes back
	list, _, err := e.Workspaces(e.ctx, store.WorkspaceFilter{Limit: 10})
	e.ok(err)
	e.equal("in the list", []store.Reported{list[0].Usage, list[1].Usage}, []store.Reported{
		{Since: late.Add(time.Minute), Until: late.Add(time.Minute), At: late.Add(time.Minute)}, {},
	})
	w, err := e.UpdateWorkspace(e.ctx, "acme", func(w *store.Workspace) error { w.Usage = store.Reported{}; return nil })
	e.ok(err)
	e.equal("updated", w.Usage, list[0].Usage)
}

func usageUntil(e env) {
	e.create("acme")
	e.create("other")
	report := func(workspace, reporter string, at, until, want time.Time) {
		e.Helper()
		_, err := e.RecordUsage(e.ctx, workspace, nil, store.Report{At: at, Reporter: reporter, Until: until})
		e.ok(err)
		w, err := e.Workspace(e.ctx, workspace)
		e.ok(err)
		e.equal(reporter+" says until "+until.String(), w.Usage.Until, want)
	}
	hour := func(n int) time.Time { return now.Add(time.Duration(n) * time.Hour) }
	report("acme", "a", hour(1), time.Time{}, hour(1))
	report("acme", "b", hour(2), hour(0), hour(0))
	report("acme", "a", hour(3), hour(3), hour(0))
	report("acme", "b", hour(4), hour(2).Add(999), hour(2))
	report("acme", "b", hour(4), hour(1), hour(2)) // it does not go back
	report("acme", "b", hour(5), hour(9), hour(3)) // nor is what is to come known
	report("other", "c", hour(1), hour(-1), hour(-1))
	report("acme", "b", hour(27), hour(27), hour(3)) // a was there within the day
	report("acme", "b", hour(28), hour(28), hour(28))
	report("acme", "a", hour(29), hour(4), hour(4))
}

func usagePartial(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	partial := func(after time.Duration, unknown int, uses ...store.Use) {
		e.Helper()
		before, err := e.Workspace(e.ctx, "acme")
		e.ok(err)
		r := store.Report{At: now.Add(after), Reporter: "p", Until: now, Incomplete: true, Partial: true}
		got, err := e.RecordUsage(e.ctx, "acme", uses, r)
		e.ok(err)
		e.equal("unknown", got, unknown)
		same, err := e.Workspace(e.ctx, "acme")
		e.ok(err)
		e.equal("reported", same.Usage, before.Usage)
	}
	partial(time.Hour, 1, store.Use{KID: k.KID, At: now}, store.Use{KID: jwks.KID{1}, At: now})
	e.equal("last used", e.key(k).LastUsedAt, now)
	e.used("acme", now, k)
	partial(2*time.Hour, 0, store.Use{KID: k.KID, At: now.Add(time.Hour)})
	partial(3*time.Hour, 0, store.Use{KID: k.KID, At: now})
	partial(3*time.Hour, 0)
	e.equal("last used", e.key(k).LastUsedAt, now.Add(time.Hour))
	// A partial report does not hold back the time up to which all uses are known.
	at := now.Add(4 * time.Hour)
	_, err := e.RecordUsage(e.ctx, "acme", nil, store.Report{At: at})
	e.ok(err)
	w, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("reported", w.Usage, store.Reported{Since: now, Until: at, At: at})
	_, err = e.RecordUsage(e.ctx, "nobody", nil, store.Report{At: now, Partial: true})
	e.is(err, store.ErrNotFound)
}

func usageFilter(e env) {
	e.create("acme")
	var keys []store.Key
	for _, created := range []time.Time{now.Add(-time.Hour), now, {}} {
		for _, used := range []time.Time{{}, now.Add(-time.Microsecond), now, now.Add(time.Microsecond)} {
			k := NewRecord("acme", []string{"a", "b"}[len(keys)%2])
			k.CreatedAt = created
			k, _ = e.issue(k)
			if !used.IsZero() {
				e.used("acme", used, k)
				k.LastUsedAt = used
			}
			keys = append(keys, k)
		}
	}
	for _, at := range []time.Time{now.Add(-time.Hour), now, now.Add(1), now.Add(time.Microsecond), now.Add(time.Hour)} {
		want := slices.DeleteFunc(newestFirst(keys), func(k store.Key) bool {
			return !k.CreatedAt.Before(at) || !k.LastUsedAt.Before(at)
		})
		e.equal("unused since "+at.String(), e.list("acme", store.Filter{UnusedSince: at}), want)
		e.equal("in pages", e.pages("acme", store.Filter{UnusedSince: at, Limit: 2}), want)
		e.equal("an owner's", e.list("acme", store.Filter{UnusedSince: at, Owner: "a", Live: true, Now: now}),
			slices.DeleteFunc(want, func(k store.Key) bool { return k.Owner != "a" }))
	}
}

// A key is in use while a key under it is, or is new.
func usageBelow(e env) {
	e.create("acme")
	since := now.Add(time.Minute)
	var want []store.Key
	for i, created := range []time.Time{now, now, since} {
		parent, _ := e.issue(NewRecord("acme", "o"))
		under := child(parent)
		under.CreatedAt = created
		under, _ = e.issue(under)
		switch i {
		case 0:
			want = []store.Key{under, e.key(parent)}
		case 1:
			e.used("acme", since, under)
		}
	}
	e.equal("unused", e.list("acme", store.Filter{UnusedSince: since}), want)
}

// Concurrent reports that name the same keys in another order do not deadlock.
func usageRace(e env) {
	e.create("acme")
	keys := e.issueMany("acme", make([]string, 40)...)
	stores := []store.Store{e.Store, e.open()}
	const rounds = 10
	done := make(chan error, len(stores))
	for i, s := range stores {
		go func() {
			var err error
			for n := range rounds {
				uses := make([]store.Use, len(keys))
				for j := range keys {
					uses[j] = store.Use{KID: keys[(j*(2*i+1)+n)%len(keys)].KID, At: now.Add(time.Duration(2*n+i) * time.Second)}
				}
				if i == 1 {
					slices.Reverse(uses)
				}
				r := store.Report{At: now, Partial: n%2 == i || n > rounds/2}
				if _, failed := s.RecordUsage(e.ctx, "acme", uses, r); failed != nil {
					err = failed
				}
			}
			done <- err
		}()
	}
	for range stores {
		e.ok(<-done)
	}
	for _, k := range keys {
		e.equal("last used", e.key(k).LastUsedAt, now.Add((2*rounds-1)*time.Second))
	}
}

func usageRefused(e env) {
	e.create("acme")
	k, _ := e.issue(NewRecord("acme", "o"))
	_, err := e.RecordUsage(e.ctx, "nobody", []store.Use{{KID: k.KID, At: now}}, store.Report{At: now})
	e.is(err, store.ErrNotFound)
	if _, err := e.RecordUsage(e.ctx, "acme", []store.Use{{KID: k.KID, At: now}}, store.Report{}); err == nil {
		e.Error("a report without a time passes")
	}
	if _, err := e.RecordUsage(e.ctx, "acme", []store.Use{{KID: k.KID, At: now}, {KID: k.KID}}, store.Report{At: now}); err == nil {
		e.Error("a use without a time passes")
	}
	w, err := e.Workspace(e.ctx, "acme")
	e.ok(err)
	e.equal("reported", w.Usage, store.Reported{})
	e.equal("last used", e.key(k).LastUsedAt, time.Time{})
}

// The number of reporters is bounded: one more replaces the reporter that has been silent for the longest. The
// last uses that the replaced reporter saw may be missing, so usage is known only since the replacement.
func usageReporters(e env) {
	e.create("acme")
	report := func(i int) store.Workspace {
		at := now.Add(time.Duration(i) * time.Second)
		_, err := e.RecordUsage(e.ctx, "acme", nil, store.Report{At: at, Reporter: "r" + strconv.Itoa(i), Until: at})
		e.ok(err)
		w, err := e.Workspace(e.ctx, "acme")
		e.ok(err)
		return w
	}
	for i := range store.MaxReporters - 1 {
		report(i)
	}
	w := report(store.MaxReporters - 1)
	e.equal("known since, with as many as there may be", w.Usage.Since, now)
	e.equal("known until", w.Usage.Until, now)
	w = report(store.MaxReporters)
	e.equal("known since, with one more", w.Usage.Since, now.Add(store.MaxReporters*time.Second))
	e.equal("known until, without the first", w.Usage.Until, now.Add(time.Second))
}

func usageLeft(e env) {
	e.create("acme")
	e.create("other")
	k, _ := e.issue(NewRecord("acme", "o"))
	of := func(remaining uint32) []store.Left {
		return []store.Left{
			{On: jwks.OnPlan, Limit: jwks.Limit{Name: "burst", Requests: 9, Seconds: 60}, Remaining: remaining, ResetAt: now.Add(time.Minute)},
			{On: "key", Limit: jwks.Limit{Name: "m", Requests: 9, Calendar: jwks.Month}, Remaining: 0, ResetAt: now.Add(time.Hour)},
		}
	}
	report := func(workspace string, after, used time.Duration, left []store.Left) {
		_, err := e.RecordUsage(e.ctx, workspace, []store.Use{{KID: k.KID, At: now.Add(used), Left: left}}, store.Report{At: now.Add(after)})
		e.ok(err)
	}
	is := func(what string, want []store.Left, at time.Time) {
		left, reported, err := e.LimitsLeft(e.ctx, "acme", k.ID)
		e.ok(err)
		e.equal(what, left, want)
		e.equal(what+": time", reported, at)
	}
	is("never used", nil, time.Time{})
	report("acme", 0, 0, nil)
	is("never reported", nil, time.Time{})
	report("acme", 2, time.Second, of(5))
	is("reported", of(5), now)
	report("acme", time.Minute, 0, of(7))
	is("of an earlier use", of(5), now)
	report("acme", time.Minute, 2*time.Second, nil)
	is("not reported with a later use", of(5), now)
	report("other", time.Minute, time.Hour, of(1))
	is("of another workspace", of(5), now)
	report("acme", time.Hour, time.Minute, of(0))
	is("reported again", of(0), now.Add(time.Hour))
	e.equal("last used", e.key(k).LastUsedAt, now.Add(time.Minute))
	// The server itself saw a later use than the gateway, and knows nothing about limits.
	_, err := e.RecordUsage(e.ctx, "acme", []store.Use{{KID: k.KID, At: now.Add(3 * time.Hour)}},
		store.Report{At: now.Add(3 * time.Hour), Partial: true})
	e.ok(err)
	is("partial", of(0), now.Add(time.Hour))
	report("acme", 4*time.Hour, 2*time.Hour, of(4))
	is("reported after a partial report", of(4), now.Add(4*time.Hour))
	e.equal("last used", e.key(k).LastUsedAt, now.Add(3*time.Hour))
}
