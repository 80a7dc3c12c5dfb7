// Package doctor examines an installation of Burnkey and reports what is wrong or risky. It only reads: it sends GET and
// HEAD requests, opens databases for reading, and reads the modes of files. No finding contains a secret.
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/burnkey/burnkey/store"
)

// Options say what to examine. Empty members are skipped.
type Options struct {
	Server    string // base URL of a server
	PublicURL string // the expected beginning of the issuer; default: Server
	Gateway   string // HOST:PORT or URL of a gateway's --metrics-listen
	Envoy     string // HOST:PORT of Envoy's admin interface
	// Workspaces are the ones to examine. The default is all that the Key can list or, without a Key, only burnkey.
	Workspaces []string
	Key        func() (string, error) // management key for the server; may be nil
	// Database returns the state of a database. DatabaseName is its URL without the password, for findings. SQLite is the
	// path of its file, or empty for PostgreSQL.
	Database     func(context.Context) (store.Condition, error)
	DatabaseName string
	SQLite       string
	KeyFiles     []string
	StateDirs    []string
	Variables    []string // problems of environment variables
	Host         bool     // examine the processes of burnkey on this machine
	Version      string   // version of this program
	Now          func() time.Time
}

// within is the time limit for examining one target.
const within = 20 * time.Second

// exam collects findings. Its methods are safe for concurrent use.
type exam struct {
	Options
	http     prober
	mu       sync.Mutex
	findings []Finding
	counts   map[group]int
	versions []versionOf
}

// group is what findings that are counted together share.
type group struct {
	severity     Severity
	code, target string
}

// versionOf is the version of a running program.
type versionOf struct{ target, version string }

// Examine looks at all targets at the same time. It returns the findings in order of importance.
func Examine(ctx context.Context, o Options) []Finding {
	e := &exam{Options: o, http: newProber()}
	if e.Now == nil {
		e.Now = time.Now
	}
	e.Server, e.PublicURL = strings.TrimRight(o.Server, "/"), strings.TrimRight(cmp.Or(o.PublicURL, o.Server), "/")
	var work sync.WaitGroup
	for _, part := range []struct {
		wanted bool
		look   func(context.Context)
	}{
		{o.Server != "", e.lookAtServer},
		{o.Database != nil, e.lookAtDatabase},
		{o.Gateway != "", e.lookAtGateway},
		{o.Envoy != "", e.lookAtEnvoy},
		{true, e.lookAtFiles},
		{o.Host, e.lookAtHost},
	} {
		if part.wanted {
			work.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, within)
				defer cancel()
				part.look(ctx)
			})
		}
	}
	work.Wait()
	e.compareVersions()
	return e.sorted()
}

// add adds a finding about a target.
func (e *exam) add(code, target, what string) {
	e.addAs(kinds[code].severity, code, target, what)
}

const (
	maxAlike = 20  // findings of one group to report
	maxText  = 300 // runes of a text to report
)

// addAs adds a finding with another severity than the code's own. The texts can come from a hostile target.
func (e *exam) addAs(severity Severity, code, target, what string) {
	k := kinds[code]
	target, what = clean(target), clean(strings.Join(strings.Fields(what), " "))
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = make(map[group]int)
	}
	g := group{severity, code, target}
	if e.counts[g]++; e.counts[g] > maxAlike {
		return
	}
	e.findings = append(e.findings, Finding{
		Code: code, Severity: severity, Target: target, What: what, Why: k.why, Do: k.do, Link: page + "#" + code,
	})
}

// clean clips a text, and replaces characters that move the cursor or change the order of others.
func clean(text string) string {
	runes := 0
	for i := range text {
		if runes++; runes > maxText {
			text = text[:i] + "…"
			break
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func (e *exam) noteVersion(target, version string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.versions = append(e.versions, versionOf{target, version})
}

// compareVersions reports programs whose version differs from this one.
func (e *exam) compareVersions() {
	for _, v := range e.versions {
		if v.version != e.Version {
			e.add("version_differs", v.target, "It has version "+v.version+", and this program has version "+e.Version+".")
		}
	}
}

func (e *exam) sorted() []Finding {
	slices.SortFunc(e.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(kinds[a.Code].rank, kinds[b.Code].rank),
			cmp.Compare(a.Target, b.Target), cmp.Compare(a.What, b.What))
	})
	for i := range slices.Backward(e.findings) {
		f := &e.findings[i]
		g := group{f.Severity, f.Code, f.Target}
		if more := e.counts[g] - maxAlike; more > 0 { // the last of its group
			f.What += fmt.Sprintf(" And %d more.", more)
			delete(e.counts, g)
		}
	}
	return e.findings
}
