package gateway

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

func isReport(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/usage") }

// answering makes the server answer reports with a status; 0 restores the usual answers.
func answering(o *gatewaytest.Origin, status int) {
	o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
		if status == 0 || !isReport(r) {
			return false
		}
		w.WriteHeader(status)
		return true
	})
}

// reportHourly enables reports, but makes the interval so long that none is due during a test.
func reportHourly(o *Options) {
	o.UsageEvery, o.UsageKey = MaxUsageEvery, keyOf(gatewaytest.ManagementKey)
}

// reporting runs a Gateway that reports the usage of acme and beta once per second of its fake clock.
func reporting(t *testing.T, o *gatewaytest.Origin, edit func(*Options)) (*Gateway, func()) {
	t.Helper()
	with := options(o, "acme", "beta")
	with.UsageEvery, with.UsageKey = MinUsageEvery, keyOf(gatewaytest.ManagementKey)
	if edit != nil {
		edit(&with)
	}
	g, err := New(with)
	check(t, err)
	g.pace = time.Millisecond
	return g, run(t, g)
}

func twoWorkspaces(t *testing.T) *gatewaytest.Origin {
	t.Helper()
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	o.Publish("acme", own())
	o.Publish("beta", other())
	return o
}

func TestUsesAreReported(t *testing.T) {
	o := twoWorkspaces(t)
	c := new(testkit.Clock)
	g, _ := reporting(t, o, func(with *Options) { with.Now = c.Now })
	eventually(t, "the keys are known", func() bool { return g.Ready() == nil })
	if code := codeOf(g, "Bearer "+own().Token(payload("acme", "cust_1", " cust"))); code != 401 || g.all()["acme"].uses.pending.Load() != 0 {
		t.Fatalf("an owner that fits no header is answered %d, and may count as used", code)
	}
	wait(t, g, own().Bearer("acme"), 200)
	kid := own().KID().String()
	eventually(t, "the use is reported", func() bool { return !o.Used("acme")[kid].IsZero() })
	if age := time.Since(o.Used("acme")[kid]); age < 0 || age > time.Minute {
		t.Errorf("used %s ago", age)
	}
	// Refused keys do not count as used.
	for _, refused := range []string{other().Bearer("acme"), own().Bearer("beta"), newPair().Bearer("beta")} {
		if code := codeOf(g, refused); code != 401 {
			t.Fatalf("answered %d", code)
		}
	}
	ask(g, with(request(other().Bearer("beta")), map[string]string{"scopes": "admin"}))
	before := o.Used("acme")[kid]
	c.Advance(2 * time.Second)
	wait(t, g, own().Bearer("acme"), 200)
	eventually(t, "it is reported again", func() bool { c.Advance(time.Second); return o.Used("acme")[kid].After(before) })
	eventually(t, "nothing is left", func() bool { return g.all()["acme"].uses.pending.Load() == 0 })
	if n := len(o.Used("acme")) + len(o.Used("beta")); n != 1 {
		t.Errorf("%d keys count as used", n)
	}
	for _, r := range append(o.Reports("acme"), o.Reports("beta")...) {
		if !r.Complete {
			t.Error("a report is incomplete")
		}
	}
	if n := g.Stats().UsageReports["ok"]; n < 3 {
		t.Errorf("the statistics count %d reports", n)
	}
}

// A workspace without uses is reported at the start, and then hourly.
func TestNoUseIsReported(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme", "beta")
	c := new(testkit.Clock)
	var mu sync.Mutex
	came := map[string][]time.Time{}
	o.SetHook(func(_ http.ResponseWriter, r *http.Request) bool {
		if isReport(r) {
			mu.Lock()
			defer mu.Unlock()
			came[r.URL.Path] = append(came[r.URL.Path], c.Now())
		}
		return false
	})
	_, stop := reporting(t, o, func(with *Options) { with.Now = c.Now })
	eventually(t, "no use is reported", func() bool { return len(o.Reports("acme")) == 1 && len(o.Reports("beta")) == 1 })
	eventually(t, "and again", func() bool { c.Advance(time.Minute); return len(o.Reports("acme")) > 2 && len(o.Reports("beta")) > 2 })
	stop()
	for _, r := range append(o.Reports("acme"), o.Reports("beta")...) {
		if len(r.Keys) > 0 || !r.Complete {
			t.Errorf("%+v", r)
		}
	}
	for path, times := range came {
		if gap := times[1].Sub(times[0]); len(times) > 9 || gap < reportIdle*4/5 {
			t.Errorf("%s: %d times, the second %s after the first", path, len(times), gap)
		}
	}
}

func TestUsesOutliveFailures(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"gatewaytest.Outage": gatewaytest.Outage,
		"forbidden":          func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(403); return true },
		"cut off":            func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"odd": func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, `{"recorded":0,"unknown":0}`)
			return true
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<p>Log in"); return true },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://"+r.Host+"/elsewhere", http.StatusTemporaryRedirect)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := twoWorkspaces(t)
			c := new(testkit.Clock)
			var log testkit.Log
			var failing atomic.Int64
			o.SetHook(func(w http.ResponseWriter, r *http.Request) bool {
				if !isReport(r) {
					if r.URL.Path == "/elsewhere" {
						t.Error("the key is sent elsewhere")
					}
					return false
				}
				body, _ := io.ReadAll(r.Body)
				if strings.Contains(string(body), own().KID().String()) {
					failing.Add(1)
				}
				return fault(w, r)
			})
			g, _ := reporting(t, o, func(with *Options) { with.Now, with.Log = c.Now, log.Logger() })
			wait(t, g, own().Bearer("acme"), 200)
			used := c.Now()
			eventually(t, "it fails more than once", func() bool {
				c.Advance(time.Second)
				return failing.Load() > 1
			})
			o.SetHook(nil)
			eventually(t, "it is reported later", func() bool { c.Advance(time.Second); return len(o.Used("acme")) == 1 })
			if at := o.Used("acme")[own().KID().String()]; at.After(used) {
				t.Errorf("the use at %s is said to be at %s", used, at)
			}
			if r := o.Reports("acme"); !r[len(r)-1].Complete {
				t.Error("nothing was lost")
			}
			eventually(t, "the recovery is logged", func() bool { return strings.Contains(log.String(), "is reported again") })
			if strings.Contains(log.String(), gatewaytest.ManagementKey) {
				t.Error("the log has the key")
			}
		})
	}
}

// A refused report is logged once a minute, no matter how often it is sent.
func TestRefusedReportsAreLoggedOnce(t *testing.T) {
	for _, status := range []int{401, 403, 404} {
		o := twoWorkspaces(t)
		answering(o, status)
		c := new(testkit.Clock)
		var log testkit.Log
		g, stop := reporting(t, o, func(with *Options) { with.Now, with.Log = c.Now, log.Logger() })
		wait(t, g, own().Bearer("acme"), 200)
		eventually(t, "both are refused", func() bool { return g.Stats().UsageReports["refused"] >= 2 })
		logged := func() int { return strings.Count(log.String(), fmt.Sprintf("answered %d", status)) }
		if n := logged(); n != 1 {
			t.Errorf("%d: logged %d times", status, n)
		}
		eventually(t, "it is logged again", func() bool { c.Advance(time.Second); return logged() == 2 })
		stop()
		if n := g.all()["acme"].uses.pending.Load(); n != 1 {
			t.Errorf("%d: %d uses are kept", status, n)
		}
		if !strings.Contains(log.String(), "unreported key usage") {
			t.Errorf("%d: the loss is not logged", status)
		}
	}
}

// Uses that the server rejects are dropped, and the next report is incomplete.
func TestRejectedUsesAreLost(t *testing.T) {
	o := twoWorkspaces(t)
	answering(o, 422)
	c := new(testkit.Clock)
	g, _ := reporting(t, o, func(with *Options) { with.Now = c.Now })
	acme := g.all()["acme"].uses
	wait(t, g, own().Bearer("acme"), 200)
	eventually(t, "it is dropped", func() bool { c.Advance(time.Second); return acme.pending.Load() == 0 })
	answering(o, 0)
	wait(t, g, own().Bearer("acme"), 200)
	eventually(t, "uses are reported", func() bool { c.Advance(time.Second); return len(o.Used("acme")) == 1 })
	eventually(t, "and then again", func() bool { c.Advance(time.Minute); return len(o.Reports("acme")) > 1 })
	if r := o.Reports("acme"); r[0].Complete || !r[1].Complete {
		t.Errorf("the first is complete: %t, the second: %t", r[0].Complete, r[1].Complete)
	}
}

// If a Gateway ends and cannot report uses, they are lost, and the next Gateway reports the gap.
func TestUsesLostAtTheEnd(t *testing.T) {
	o := twoWorkspaces(t)
	dir := t.TempDir()
	inDir := func(with *Options) { with.StateDir = dir }
	answering(o, 503)
	g, stop := reporting(t, o, inDir)
	wait(t, g, own().Bearer("acme"), 200)
	stop()
	answering(o, 0)
	for _, complete := range []bool{false, true} {
		before := len(o.Reports("acme"))
		_, stop = reporting(t, o, inDir)
		eventually(t, "it reports", func() bool { return len(o.Reports("acme")) > before && len(o.Reports("beta")) > before })
		eventually(t, "it knows that its reports arrived", func() bool {
			_, err := os.Stat(filepath.Join(dir, usageMarkFile))
			return errors.Is(err, fs.ErrNotExist)
		})
		stop()
		if r := o.Reports("acme")[before]; r.Complete != complete {
			t.Errorf("the first report is complete: %t", r.Complete)
		}
	}
}

// If too many keys were used for one report, the Gateway sends several. No use is lost, even if keys are used
// between the reports.
func TestManyUses(t *testing.T) {
	o := twoWorkspaces(t)
	g, stop := reporting(t, o, nil)
	u := g.all()["acme"].uses
	want := map[string]time.Time{}
	var mu sync.Mutex
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for range 700 {
				kid, at := randomKID(), time.Now()
				for i := range 3 {
					u.record(kid, at.Add(time.Duration(i)*time.Second), nil)
				}
				mu.Lock()
				want[kid.String()] = at.Add(2 * time.Second).Truncate(time.Microsecond)
				mu.Unlock()
			}
		})
	}
	users.Wait()
	stop() // reports the rest
	got := o.Used("acme")
	if !maps.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("%d of %d uses are reported", len(got), len(want))
	}
	if n := u.pending.Load(); n != 0 {
		t.Errorf("%d are left", n)
	}
	for i := range u.shards {
		if u.shards[i].current != nil || u.shards[i].next != nil {
			t.Error("the memory is kept")
		}
	}
}

// A workspace that is gone and comes back has lost no uses.
func TestUsesOfAWorkspaceThatWasAway(t *testing.T) {
	o := gatewaytest.NewOrigin(t, "acme")
	o.Publish("acme", own())
	answering(o, 503)
	with := options(o)
	with.Key, with.UsageEvery = keyOf(gatewaytest.ManagementKey), MinUsageEvery
	g, err := New(with)
	check(t, err)
	g.pace = time.Millisecond
	run(t, g)
	wait(t, g, own().Bearer("acme"), 200)
	o.Drop("acme")
	eventually(t, "it is gone", func() bool { return len(g.all()) == 0 })
	answering(o, 0)
	o.Create("acme")
	eventually(t, "its use is reported", func() bool { return len(o.Used("acme")) == 1 })
}

// The key is read for each report.
func TestUsageKeyChanges(t *testing.T) {
	o := twoWorkspaces(t)
	var mu sync.Mutex
	key, err := "", errors.New("there is no such file")
	g, _ := reporting(t, o, func(with *Options) {
		with.UsageKey = func() (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return key, err
		}
	})
	eventually(t, "there is no key", func() bool { return g.Stats().UsageReports["failed"] > 0 })
	mu.Lock()
	key, err = gatewaytest.ManagementKey, nil
	mu.Unlock()
	eventually(t, "there is one", func() bool { return len(o.Reports("acme")) > 0 })
}

// Workspaces with and without uses take turns.
func TestTurns(t *testing.T) {
	o := gatewaytest.NewOrigin(t)
	now := time.Now()
	with := options(o, "busy-1", "busy-2", "idle-1", "idle-2", "later")
	with.UsageEvery, with.UsageKey, with.Now = MinUsageEvery, keyOf(gatewaytest.ManagementKey), func() time.Time { return now }
	g, err := New(with)
	check(t, err)
	defer g.close()
	r := &reporter{Gateway: g}
	for id, waits := range map[string]time.Duration{"busy-1": 2, "busy-2": 1, "idle-1": 1, "idle-2": 2, "later": -1} {
		u := g.all()[id].uses
		u.busyAt, u.idleAt = now.Add(-waits), now.Add(-waits)
		if strings.HasPrefix(id, "busy") {
			u.record(randomKID(), now, nil)
		}
	}
	for _, c := range []struct {
		idle bool
		want string
	}{{false, "busy-1"}, {true, "idle-2"}, {false, "busy-2"}, {true, "idle-1"}} {
		got := r.choose(c.idle)
		if got == nil || got.id != c.want {
			t.Fatalf("%v, want %s", got, c.want)
		}
		got.uses.busyAt, got.uses.idleAt = now.Add(time.Hour), now.Add(time.Hour)
	}
	for _, idle := range []bool{false, true} {
		if got := r.choose(idle); got != nil {
			t.Errorf("%s is not due", got.id)
		}
	}
	g.all()["busy-1"].uses.busyAt = now
	if got := r.choose(true); got == nil || got.id != "busy-1" {
		t.Error("without an idle workspace, none has a turn")
	}
}
