// Package doctor examines an installation of Burnkey and reports what is wrong or risky. It only reads: it sends GET and
// HEAD requests, opens databases for reading, and reads the modes of files. No finding contains a secret.
package doctor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

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
	versions []versionOf
	// sets are the sizes of published sets in bytes, for the comparison with Envoy's buffer.
	sets []int64
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

// addAs adds a finding with another severity than the code's own.
func (e *exam) addAs(severity Severity, code, target, what string) {
	k := kinds[code]
	e.mu.Lock()
	defer e.mu.Unlock()
	e.findings = append(e.findings, Finding{
		Code: code, Severity: severity, Target: target, What: what, Why: k.why, Do: k.do, Link: page + "#" + code,
	})
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
	return e.findings
}
