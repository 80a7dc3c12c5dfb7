package gateway

import (
	"errors"
	"math"
	"time"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/jwks"
)

// Stats are the state of a Gateway, for metrics. They do not name workspaces, since there may be ten thousand.
type Stats struct {
	Workspaces int // whose tokens are accepted
	Unready    int // without keys
	Stale      int // with keys older than Options.MaxStaleness
	Polling    int // that do not receive changes as a stream
	Keys       int // published, of all workspaces

	MinVersion uint64 // the lowest version of a workspace's set
	Versions   uint64 // the sum of the versions of all sets; grows with every change
	// MaxAge is the age of the oldest keys. It is negative if no workspace has keys, and math.MaxInt64 if the
	// age of some keys is unknown.
	MaxAge time.Duration

	WrongIssuer   bool              // the server has another issuer, so every token is refused
	PendingUses   int64             // keys whose latest use has not been reported
	UsageReports  map[string]uint64 // by result: ok, failed, refused or rejected
	StateFailures uint64            // failed writes of state files
	Credentials   map[string]uint64 // keys that were read, also invalid ones, by place

	Limits limits.LocalStats // counts of limits in memory
}

// Stats returns the current state.
func (g *Gateway) Stats() Stats {
	s := Stats{
		MinVersion: math.MaxUint64, MaxAge: -1,
		WrongIssuer: g.wrongIssuer.Load() != nil, UsageReports: g.reportCounts(), Limits: g.local.Stats(),
		Credentials: g.placeCounts(),
	}
	for t := range g.roster.all {
		s.Workspaces++
		s.add(t.follower.Status(), g.o.MaxStaleness)
		if t.uses != nil {
			s.PendingUses += t.uses.pending.Load()
		}
	}
	if s.Workspaces == 0 {
		s.MinVersion = 0
	}
	if g.feed != nil { // one file for all
		s.StateFailures = g.feed.StateErrors()
	}
	return s
}

func (s *Stats) add(status jwks.FollowerStatus, maxStaleness time.Duration) {
	err := status.Usable(maxStaleness)
	if errors.Is(err, jwks.ErrNotReady) {
		s.Unready++
	}
	if errors.Is(err, jwks.ErrStale) {
		s.Stale++
	}
	if !status.Streaming {
		s.Polling++
	}
	s.Keys += status.Keys
	s.MinVersion = min(s.MinVersion, status.Version)
	s.Versions += status.Version
	s.StateFailures += status.StateErrors
	if status.Ready {
		s.MaxAge = max(s.MaxAge, status.Age)
	}
}
