package jwks

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
)

// Calendar periods of a quota, in UTC. A week starts on Monday.
const (
	Day   = "day"
	Week  = "week"
	Month = "month"
)

// A Limit is one rule: at most Requests in a time of Seconds, by the generic cell rate algorithm, or at most
// Requests in each calendar period. Exactly one of Seconds and Calendar is set.
type Limit struct {
	Name     string `json:"name"`
	Requests uint32 `json:"requests"`
	Seconds  uint32 `json:"seconds,omitzero"`
	Calendar string `json:"calendar,omitzero"` // Day, Week or Month
}

// Subjects of a LimitSet: what its rules count.
const (
	OnPlan    = "plan"    // each key that has the plan, by itself
	OnOwner   = "owner"   // all keys of an owner together
	OnRoute   = "route"   // all requests to a route that has this name at the gateway
	OnAddress = "address" // all requests from a client's address; of IPv6, from its /64
	OnTotal   = "total"   // all requests of the workspace
)

// AnyName is the Name of a LimitSet for each owner that has no set of its own, for each address, or for the total.
const AnyName = "*"

// A LimitSet is a list of rules that a workspace's keys share. Name is that of the plan, owner or route, or AnyName.
type LimitSet struct {
	On     string  `json:"on"`
	Name   string  `json:"name"`
	Limits []Limit `json:"limits"` // empty in a change: the set was deleted
}

// Is reports whether both sets have the same subject and name.
func (s *LimitSet) Is(other *LimitSet) bool { return s.On == other.On && s.Name == other.Name }

// Print is the set's part of the fingerprint of a feed.
func (s *LimitSet) Print() Fingerprint { return sha256.Sum256(mustMarshal(s)) }

// Check returns an error if the subject, the name or a rule is invalid.
func (s *LimitSet) Check() error {
	switch s.On {
	case OnPlan, OnOwner, OnRoute:
	case OnAddress, OnTotal:
		if s.Name != AnyName {
			return fmt.Errorf("a limit on the %s has the name %q", s.On, s.Name)
		}
	default:
		return fmt.Errorf("limits on %q: unknown subject", s.On)
	}
	return CheckLimits(s.Limits)
}

// CheckLimits returns an error if a limit is not a valid rule.
func CheckLimits(limits []Limit) error {
	for i, l := range limits {
		isCalendar := slices.Contains([]string{Day, Week, Month}, l.Calendar)
		if l.Name == "" || l.Requests == 0 || (l.Seconds == 0) != isCalendar || l.Calendar != "" && !isCalendar {
			return fmt.Errorf("limit %d is invalid", i)
		}
	}
	return nil
}

// mustMarshal returns the JSON form of a value that always has one.
func mustMarshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers, times and addresses
	}
	return text
}
