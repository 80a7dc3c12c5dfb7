package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// sentReport is a report that came to an origin.
type sentReport struct {
	workspace string
	usageReport
}

func (o *origin) takeReport(w http.ResponseWriter, r *http.Request) {
	sent := sentReport{workspace: r.PathValue("ws")}
	err := json.NewDecoder(r.Body).Decode(&sent.usageReport)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+managementKey:
		w.WriteHeader(http.StatusUnauthorized)
		return
	case err != nil || sent.Reporter == "" || sent.SentAt.IsZero() || !sent.Until.Before(sent.SentAt) || sent.Keys == nil || len(sent.Keys) > reportKeys || r.Header.Get("Content-Type") != "application/json":
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reports = append(o.reports, sent)
	fmt.Fprintf(w, `{"recorded":%d,"unknown":0}`, len(sent.Keys))
}

// sent returns the reports that came of a workspace.
func (o *origin) sent(workspace string) (sent []sentReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.reports {
		if r.workspace == workspace {
			sent = append(sent, r)
		}
	}
	return sent
}

// told returns when the keys of a workspace were used, as far as the origin was told.
func (o *origin) told(workspace string) map[string]time.Time {
	all := map[string]time.Time{}
	for _, r := range o.sent(workspace) {
		for _, k := range r.Keys {
			if k.LastUsedAt.After(all[k.KID]) {
				all[k.KID] = k.LastUsedAt
			}
		}
	}
	return all
}

func isReport(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/usage") }

// answering answers reports with a status for as long as it is not 0.
func (o *origin) answering(status int) {
	o.setHook(func(w http.ResponseWriter, r *http.Request) bool {
		if status == 0 || !isReport(r) {
			return false
		}
		w.WriteHeader(status)
		return true
	})
}

// reportOf has uses reported, but not soon.
func reportOf(o *Options) { o.UsageEvery, o.UsageKey = MaxUsageEvery, keyOf(managementKey) }

// reporting runs a Gateway that reports the uses of acme and beta every second by its
// clock, as quickly as a test likes.
func reporting(t *testing.T, o *origin, edit func(*Options)) (*Gateway, func()) {
	t.Helper()
	with := options(o, "acme", "beta")
	with.UsageEvery, with.UsageKey = MinUsageEvery, keyOf(managementKey)
	if edit != nil {
		edit(&with)
	}
	g, err := New(with)
	check(t, err)
	g.reportPace = time.Millisecond
	return g, run(t, g)
}

func twoWorkspaces(t *testing.T) *origin {
	t.Helper()
	o := newOrigin(t, "acme", "beta")
	o.publish("acme", own())
	o.publish("beta", other())
	return o
}

func TestUsesAreReported(t *testing.T) {
	o := twoWorkspaces(t)
	c := new(clock)
	metrics := prometheus.NewRegistry()
	g, _ := reporting(t, o, func(with *Options) { with.Now, with.Metrics = c.now, metrics })
	eventually(t, "the keys are known", func() bool { return g.Ready() == nil })
	if code := codeOf(t, g, "Bearer "+own().token(payload("acme", "cust_1", " cust"))); code != 401 || g.all()["acme"].uses.pending.Load() != 0 {
		t.Fatalf("what fits no header is answered %d, and may count as used", code)
	}
	wait(t, g, bearerOf(own(), "acme"), 200)
	kid := own().kid().String()
	eventually(t, "the use is reported", func() bool { return !o.told("acme")[kid].IsZero() })
	if age := time.Since(o.told("acme")[kid]); age < 0 || age > time.Minute {
		t.Errorf("used %s ago", age)
	}
	// Nothing else was used, whatever was refused.
	for _, refused := range []string{bearerOf(other(), "acme"), bearerOf(own(), "beta"), bearerOf(newPair(), "beta")} {
		if code := codeOf(t, g, refused); code != 401 {
			t.Fatalf("answered %d", code)
		}
	}
	ask(t, g, with(request("GET", bearerOf(other(), "beta")), map[string]string{"scopes": "admin"}))
	before := o.told("acme")[kid]
	c.advance(2 * time.Second)
	wait(t, g, bearerOf(own(), "acme"), 200)
	eventually(t, "it is reported again", func() bool { c.advance(time.Second); return o.told("acme")[kid].After(before) })
	eventually(t, "nothing is left", func() bool { return g.all()["acme"].uses.pending.Load() == 0 })
	if n := len(o.told("acme")) + len(o.told("beta")); n != 1 {
		t.Errorf("%d keys are said to be used", n)
	}
	for _, r := range append(o.sent("acme"), o.sent("beta")...) {
		if !r.Complete {
			t.Error("a report is incomplete")
		}
	}
	if n := testutil.ToFloat64(g.metrics.reports.WithLabelValues(reported)); n < 3 {
		t.Errorf("the metric counts %v reports", n)
	}
}

// A workspace whose keys nobody uses is reported at the start, and then hourly.
func TestNoUseIsReported(t *testing.T) {
	o := newOrigin(t, "acme", "beta")
	c := new(clock)
	came := map[string][]time.Time{}
	o.setHook(func(_ http.ResponseWriter, r *http.Request) bool {
		if isReport(r) {
			o.mu.Lock()
			defer o.mu.Unlock()
			came[r.URL.Path] = append(came[r.URL.Path], c.now())
		}
		return false
	})
	_, stop := reporting(t, o, func(with *Options) { with.Now = c.now })
	eventually(t, "no use is reported", func() bool { return len(o.sent("acme")) == 1 && len(o.sent("beta")) == 1 })
	eventually(t, "and again", func() bool { c.advance(time.Minute); return len(o.sent("acme")) > 2 && len(o.sent("beta")) > 2 })
	stop()
	for _, r := range append(o.sent("acme"), o.sent("beta")...) {
		if len(r.Keys) > 0 || !r.Complete {
			t.Errorf("%+v", r)
		}
	}
	for path, times := range came {
		if gap := times[1].Sub(times[0]); len(times) > 9 || gap < reportIdle*4/5 {
			t.Errorf("%s: %d times, the second %s behind the first", path, len(times), gap)
		}
	}
}

func TestUsesOutliveFailures(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"outage":    outage,
		"forbidden": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(403); return true },
		"cut off":   func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
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
			c := new(clock)
			var log lockedBuffer
			failing := 0
			o.setHook(func(w http.ResponseWriter, r *http.Request) bool {
				if !isReport(r) {
					if r.URL.Path == "/elsewhere" {
						t.Error("the key is sent elsewhere")
					}
					return false
				}
				body, _ := io.ReadAll(r.Body)
				if strings.Contains(string(body), own().kid().String()) {
					o.mu.Lock()
					failing++
					o.mu.Unlock()
				}
				return fault(w, r)
			})
			g, _ := reporting(t, o, func(with *Options) { with.Now, with.Log = c.now, slog.New(slog.NewTextHandler(&log, nil)) })
			wait(t, g, bearerOf(own(), "acme"), 200)
			used := c.now()
			eventually(t, "it fails more than once", func() bool {
				c.advance(time.Second)
				o.mu.Lock()
				defer o.mu.Unlock()
				return failing > 1
			})
			o.setHook(nil)
			eventually(t, "it is made up for", func() bool { c.advance(time.Second); return len(o.told("acme")) == 1 })
			if at := o.told("acme")[own().kid().String()]; at.After(used) {
				t.Errorf("the use at %s is said to be at %s", used, at)
			}
			if r := o.sent("acme"); !r[len(r)-1].Complete {
				t.Error("nothing was lost")
			}
			eventually(t, "that it goes on is told", func() bool { return strings.Contains(log.String(), "is reported again") })
			if strings.Contains(log.String(), managementKey) {
				t.Error("the log has the key")
			}
		})
	}
}

// That a report is refused is told once a minute, however often it is tried.
func TestRefusedReportsAreToldOnce(t *testing.T) {
	for _, status := range []int{401, 403, 404} {
		o := twoWorkspaces(t)
		o.answering(status)
		c := new(clock)
		var log lockedBuffer
		g, stop := reporting(t, o, func(with *Options) { with.Now, with.Log = c.now, slog.New(slog.NewTextHandler(&log, nil)) })
		wait(t, g, bearerOf(own(), "acme"), 200)
		refused := g.metrics.reports.WithLabelValues(reportRefused)
		eventually(t, "both are refused", func() bool { return testutil.ToFloat64(refused) >= 2 })
		told := func() int { return strings.Count(log.String(), fmt.Sprintf("answers %d", status)) }
		if n := told(); n != 1 {
			t.Errorf("%d: told %d times", status, n)
		}
		eventually(t, "it is told again", func() bool { c.advance(time.Second); return told() == 2 })
		stop()
		if n := g.all()["acme"].uses.pending.Load(); n != 1 {
			t.Errorf("%d: %d uses are kept", status, n)
		}
		if !strings.Contains(log.String(), "before the end") {
			t.Errorf("%d: nobody is told of what is lost", status)
		}
	}
}

// What the server will never take is dropped, and the next report says so.
func TestRejectedUsesAreLost(t *testing.T) {
	o := twoWorkspaces(t)
	o.answering(422)
	c := new(clock)
	g, _ := reporting(t, o, func(with *Options) { with.Now = c.now })
	acme := g.all()["acme"].uses
	wait(t, g, bearerOf(own(), "acme"), 200)
	eventually(t, "it is dropped", func() bool { c.advance(time.Second); return acme.pending.Load() == 0 })
	o.answering(0)
	wait(t, g, bearerOf(own(), "acme"), 200)
	eventually(t, "uses are reported", func() bool { c.advance(time.Second); return len(o.told("acme")) == 1 })
	eventually(t, "and then again", func() bool { c.advance(time.Minute); return len(o.sent("acme")) > 1 })
	if r := o.sent("acme"); r[0].Complete || !r[1].Complete {
		t.Errorf("the first is complete: %t, the second: %t", r[0].Complete, r[1].Complete)
	}
}

// What one could not tell before its end is lost, and the next one says so.
func TestUsesLostAtTheEnd(t *testing.T) {
	o := twoWorkspaces(t)
	dir := t.TempDir()
	inDir := func(with *Options) { with.StateDir = dir }
	o.answering(503)
	g, stop := reporting(t, o, inDir)
	wait(t, g, bearerOf(own(), "acme"), 200)
	stop()
	o.answering(0)
	for _, complete := range []bool{false, true} {
		before := len(o.sent("acme"))
		_, stop = reporting(t, o, inDir)
		eventually(t, "it reports", func() bool { return len(o.sent("acme")) > before && len(o.sent("beta")) > before })
		eventually(t, "it knows that its reports arrived", func() bool {
			_, err := os.Stat(filepath.Join(dir, markFile))
			return errors.Is(err, fs.ErrNotExist)
		})
		stop()
		if r := o.sent("acme")[before]; r.Complete != complete {
			t.Errorf("the first report is complete: %t", r.Complete)
		}
	}
}

// Many keys take several reports, and none is forgotten, also while they are used.
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
					u.note(kid, at.Add(time.Duration(i)*time.Second))
				}
				mu.Lock()
				want[kid.String()] = at.Add(2 * time.Second).Truncate(time.Microsecond)
				mu.Unlock()
			}
		})
	}
	users.Wait()
	stop() // which tells of the rest
	got := o.told("acme")
	if !maps.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("%d uses are told of %d", len(got), len(want))
	}
	if n := u.pending.Load(); n != 0 {
		t.Errorf("%d are left", n)
	}
	for i := range u.shards {
		if u.shards[i].telling != nil || u.shards[i].behind != nil {
			t.Error("the memory is kept")
		}
	}
}

// A workspace that leaves the list and comes back has lost nothing.
func TestUsesOfAWorkspaceThatWasAway(t *testing.T) {
	o := newOrigin(t, "acme")
	o.publish("acme", own())
	o.answering(503)
	with := options(o)
	with.Key, with.ListEvery, with.UsageEvery = keyOf(managementKey), 5*time.Millisecond, MinUsageEvery
	g, err := New(with)
	check(t, err)
	g.reportPace = time.Millisecond
	run(t, g)
	wait(t, g, bearerOf(own(), "acme"), 200)
	o.drop("acme")
	eventually(t, "it is gone", func() bool { return len(g.all()) == 0 })
	o.answering(0)
	o.create("acme")
	eventually(t, "its use is reported", func() bool { return len(o.told("acme")) == 1 })
}

// The key is asked for anew for each report.
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
	eventually(t, "there is no key", func() bool { return testutil.ToFloat64(g.metrics.reports.WithLabelValues(reportFailed)) > 0 })
	mu.Lock()
	key, err = managementKey, nil
	mu.Unlock()
	eventually(t, "there is one", func() bool { return len(o.sent("acme")) > 0 })
}

// Be there ever so many in use, idle workspaces get their turn, and the other way round.
func TestTurns(t *testing.T) {
	o := newOrigin(t)
	now := time.Now()
	with := options(o, "busy-1", "busy-2", "idle-1", "idle-2", "later")
	with.UsageEvery, with.UsageKey, with.Now = MinUsageEvery, keyOf(managementKey), func() time.Time { return now }
	g, err := New(with)
	check(t, err)
	defer g.close()
	r := &reporter{Gateway: g}
	for id, waits := range map[string]time.Duration{"busy-1": 2, "busy-2": 1, "idle-1": 1, "idle-2": 2, "later": -1} {
		u := g.all()[id].uses
		u.busy, u.idle = now.Add(-waits), now.Add(-waits)
		if strings.HasPrefix(id, "busy") {
			u.note(randomKID(), now)
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
		got.uses.busy, got.uses.idle = now.Add(time.Hour), now.Add(time.Hour)
	}
	for _, idle := range []bool{false, true} {
		if got := r.choose(idle); got != nil {
			t.Errorf("%s is not due", got.id)
		}
	}
	g.all()["busy-1"].uses.busy = now
	if got := r.choose(true); got == nil || got.id != "busy-1" {
		t.Error("where none is idle, nobody has a turn")
	}
}
