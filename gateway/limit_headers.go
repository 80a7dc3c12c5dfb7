package gateway

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/jwks"
)

// Values of Options.LimitHeaders.
const (
	LimitHeadersDraft = "draft" // RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11)
	LimitHeadersX     = "x"     // X-RateLimit-Limit, -Remaining and -Reset, of the rule with the fewest requests left
	LimitHeadersBoth  = "both"
	LimitHeadersOff   = "off"
)

// limitHeaders returns the headers about a decision, and the names of the rules that refused the request.
func (g *Gateway) limitHeaders(c *count, now time.Time) (headers []Header, violated []string) {
	states := c.states[:len(c.rules)]
	c.name()
	retry, refused := time.Duration(0), false
	for i := range states {
		if states[i].Retry > 0 {
			violated = append(violated, c.names[i])
			retry, refused = max(retry, states[i].Retry), true
		}
	}
	headers = make([]Header, 0, 4) // with room for those about the key's life
	if refused && retry != limits.Never {
		headers = append(headers, Header{"retry-after", strconv.FormatInt(wholeSeconds(retry), 10)})
	}
	if h := g.o.LimitHeaders; h == LimitHeadersDraft || h == LimitHeadersBoth {
		policy, left := g.policies.write(c, now)
		headers = append(headers, Header{"ratelimit-policy", policy}, Header{"ratelimit", left})
	}
	if h := g.o.LimitHeaders; h == LimitHeadersX || h == LimitHeadersBoth {
		least := 0
		for i := range states {
			if isTighter(&states[i], &states[least]) {
				least = i
			}
		}
		s := &states[least]
		headers = append(headers,
			Header{"x-ratelimit-limit", strconv.FormatUint(uint64(c.rules[least].Limit.Requests), 10)},
			Header{"x-ratelimit-remaining", strconv.FormatUint(uint64(s.Remaining), 10)},
			Header{"x-ratelimit-reset", strconv.FormatInt(window(s, &c.rules[least].Limit), 10)})
	}
	return headers, violated
}

// isTighter reports whether the rule of a is closer to refusing requests, or refuses them for longer, than that of b.
func isTighter(a, b *limits.State) bool {
	if a.Remaining != b.Remaining {
		return a.Remaining < b.Remaining
	}
	return a.Retry > b.Retry
}

// name sets the names of the rules: those of their limits or, if several have the same, after the name of the subject.
func (c *count) name() {
	c.names = c.names[:0]
	for i := range c.rules {
		name := c.rules[i].Limit.Name
		for j := range c.rules {
			if i != j && c.rules[j].Limit.Name == name {
				name = c.rules[i].On + "." + name
				break
			}
		}
		c.names = append(c.names, name)
	}
}

// wholeSeconds rounds up, so that a client which waits for this time is not too early.
func wholeSeconds(d time.Duration) int64 {
	return int64(math.Ceil(d.Seconds()))
}

// window returns the time in seconds within which no more than the remaining requests can pass. A rate without any
// would allow another one sooner than all: a client must not wait for longer than it has to.
func window(s *limits.State, limit *jwks.Limit) int64 {
	switch {
	case s.Retry > 0 && s.Retry != limits.Never:
		return wholeSeconds(s.Retry)
	case s.Remaining == 0 && limit.Calendar == "":
		period := time.Duration(limit.Seconds) * time.Second
		return max(1, wholeSeconds(s.Reset-period+period/time.Duration(limit.Requests)))
	}
	return wholeSeconds(s.Reset)
}

// policies are parts of the draft's headers, as the library of structured fields writes them. It is too slow to be
// used for every request.
type policies struct {
	mu    sync.RWMutex
	texts map[policyKey]*policyText
}

type policyKey struct {
	name             string
	requests, window uint64
}

type policyText struct{ name, policy string }

// maxPolicies is the number of texts that are kept. Names and rules can change without end.
const maxPolicies = 10_000

// write returns the values of RateLimit-Policy and RateLimit.
func (p *policies) write(c *count, now time.Time) (policy, left string) {
	var few [2][192]byte // enough for most
	policies, values := few[0][:0], few[1][:0]
	for i := range c.rules {
		limit := &c.rules[i].Limit
		text := p.text(policyKey{c.names[i], uint64(limit.Requests), periodOf(limit, now)})
		if i > 0 {
			policies, values = append(policies, ", "...), append(values, ", "...)
		}
		values = append(append(values, text.name...), ";r="...)
		values = append(strconv.AppendUint(values, uint64(c.states[i].Remaining), 10), ";t="...)
		values = strconv.AppendInt(values, window(&c.states[i], limit), 10)
		if len(c.rules) == 1 { // saves a copy
			return text.policy, string(values)
		}
		policies = append(policies, text.policy...)
	}
	return string(policies), string(values)
}

// periodOf returns the length in seconds of a rule's period.
func periodOf(limit *jwks.Limit, now time.Time) uint64 {
	const day = 24 * 60 * 60
	switch limit.Calendar {
	case "":
		return uint64(limit.Seconds)
	case jwks.Day:
		return day
	case jwks.Week:
		return 7 * day
	}
	now = now.UTC()
	return uint64(time.Date(now.Year(), now.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()) * day
}

func (p *policies) text(key policyKey) *policyText {
	p.mu.RLock()
	known := p.texts[key]
	p.mu.RUnlock()
	if known != nil {
		return known
	}
	text, err := newPolicyText(key)
	if err != nil { // a name that no structured field can have
		text = &policyText{name: `""`, policy: `"";q=` + strconv.FormatUint(key.requests, 10)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.texts == nil || len(p.texts) == maxPolicies {
		p.texts = make(map[policyKey]*policyText)
	}
	key.name = strings.Clone(key.name)
	p.texts[key] = text
	return text
}

func newPolicyText(key policyKey) (*policyText, error) {
	item := httpsfv.NewItem(key.name)
	name, err := httpsfv.Marshal(item)
	if err != nil {
		return nil, err
	}
	item.Params.Add("q", int64(key.requests))
	item.Params.Add("w", int64(key.window))
	policy, err := httpsfv.Marshal(item)
	return &policyText{name, policy}, err
}
