// Package limits counts requests against rules: rates by the generic cell rate algorithm (GCRA) and quotas by
// the calendar.
package limits

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// OnKey is the subject of a key's own rules, beside those of a jwks.LimitSet.
const OnKey = "key"

// A Rule is a limit that applies to a request, and the subject whose requests it counts.
type Rule struct {
	Workspace string
	On        string // OnKey or a subject of a jwks.LimitSet
	// Name is the key's id (OnKey and OnPlan, so that a quota continues under another plan), the
	// owner or the route. It is empty for OnAddress and OnTotal.
	Name    string
	Address netip.Addr // for OnAddress alone: as Network returns it
	Limit   jwks.Limit
}

// Network returns the address that a rule on client addresses counts: the first address of the /64 of an IPv6
// address, and the IPv4 address of an IPv4-mapped one. Its zone is dropped.
func Network(client netip.Addr) netip.Addr {
	client = client.Unmap().WithZone("")
	if client.Is6() {
		network, _ := client.Prefix(64) // no error: the address has 128 bits
		return network.Addr()
	}
	return client
}

// A State is what a rule still allows after a decision.
type State struct {
	// Remaining is the number of requests that would pass at once.
	Remaining uint32
	// Reset is the time until the rule allows all of its requests again.
	Reset time.Duration
	// Retry is the time until a refused request would pass this rule, and Never if it is larger than the rule.
	// 0: this rule did not refuse it.
	Retry time.Duration
}

// Never is the Retry of a request that no waiting helps.
const Never = time.Duration(math.MaxInt64)

// MaxRules is the maximum number of rules of one decision.
const MaxRules = 64

// ErrUnavailable is wrapped by the error of a Counter that cannot reach its counts.
var ErrUnavailable = errors.New("the counts of limits are not available")

// A Counter counts requests. It is safe for concurrent use.
//
// Local is the Counter of one gateway. Another Counter may share its counts with other gateways, and use a Local
// while it cannot.
type Counter interface {
	// Take counts n requests with each of the rules, and returns true, if all rules allow them; otherwise it
	// counts them with none. If n is 0, it only reads. It sets states[i] to the state of rules[i] after the
	// decision; states is at least as long as rules, of which there are at most MaxRules, each for another pair of
	// subject and limit. It keeps neither slice.
	//
	// A rate is counted by its subject and its whole limit, so that a changed limit starts afresh. A quota is
	// counted by its subject and the limit's name and calendar, so that a changed quota keeps what was used.
	//
	// now is the gateway's time. A Counter with a clock of its own, which gateways share, uses that instead.
	// After an error, which wraps ErrUnavailable or that of ctx, nothing was counted, as far as is known, and
	// states is undefined.
	Take(ctx context.Context, now time.Time, n uint32, rules []Rule, states []State) (bool, error)
}
