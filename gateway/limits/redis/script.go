package redis

import (
	"crypto/sha256"
	_ "embed" // for take.lua
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/burnkey/burnkey/gateway/limits"
)

//go:embed take.lua
var source string

// keyPrefix is the beginning of every key. The workspace follows, in the braces that keep keys in one slot of a cluster.
const keyPrefix = "burnkey:{"

// key returns the key of a rule's count. The subject is hashed: it can be long, or the address of a person.
func key(r *limits.Rule) string {
	b := make([]byte, 0, 256)
	for _, text := range []string{r.On, r.Name, r.Limit.Name, r.Limit.Calendar} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	if r.Limit.Calendar == "" {
		b = binary.BigEndian.AppendUint32(b, r.Limit.Requests)
		b = binary.BigEndian.AppendUint32(b, r.Limit.Seconds)
	}
	if r.Address.IsValid() {
		b = append(b, r.Address.AsSlice()...)
	}
	hash := sha256.Sum256(b)
	b = append(append(append(b[:0], keyPrefix...), r.Workspace...), "}:"...)
	return string(base64.RawURLEncoding.AppendEncode(b, hash[:16]))
}

// newDecision returns the run of the script for n requests. clock is Redis' time in µs, or a little earlier; 0: unknown.
func (c *Counter) newDecision(n uint32, rules []limits.Rule, marks []limits.Mark, clock int64) *decision {
	args := append(make([]any, 0, 4+5*len(rules)), "EVALSHA", c.hash, len(rules))
	for i := range rules {
		args = append(args, key(&rules[i]))
	}
	args = append(args, n)
	for i := range rules {
		l, m := &rules[i].Limit, &marks[i]
		if l.Calendar != "" {
			args = append(args, l.Requests, l.Calendar, m.Used, m.First)
			continue
		}
		known := int64(0)
		if clock != 0 && m.Full > 0 {
			known = clock + m.Full.Microseconds()
		}
		args = append(args, l.Requests, strconv.FormatUint(uint64(l.Seconds), 10), known, 0)
	}
	return &decision{args: args, done: make(chan struct{})}
}

// An answer is what the script returned beside the states.
type answer struct {
	passes bool
	now    int64 // Redis' time in µs
}

var errAnswer = errors.New("unexpected answer")

// readAnswer sets states and marks to what the script returned.
func readAnswer(reply []int64, n uint32, rules []limits.Rule, states []limits.State, marks []limits.Mark) (answer, error) {
	if len(reply) != 2+2*len(rules) {
		return answer{}, errAnswer
	}
	a := answer{reply[0] == 1, reply[1]}
	for i := range rules {
		left, count := reply[2+2*i], reply[3+2*i]
		if left < 0 || left > math.MaxUint32 || count < 0 {
			return answer{}, errAnswer
		}
		states[i] = limits.State{Remaining: uint32(left)}
		l, s := &rules[i].Limit, &states[i]
		refused := !a.passes && s.Remaining < n
		if l.Calendar != "" {
			at := time.UnixMicro(a.now)
			first, end := limits.Period(l.Calendar, at)
			s.Reset = end.Sub(at)
			marks[i] = limits.Mark{Used: uint32(min(count, math.MaxUint32)), First: first}
			if refused {
				s.Retry = s.Reset
			}
		} else {
			s.Reset = time.Duration(count-a.now) * time.Microsecond
			marks[i] = limits.Mark{Full: s.Reset}
			if refused {
				s.Retry = retry(s.Reset, n, l.Requests, l.Seconds)
			}
		}
		if refused && n > l.Requests {
			s.Retry = limits.Never
		}
	}
	return a, nil
}

// retry returns the time until a rate allows n requests, which allows all after reset, rounded up.
func retry(reset time.Duration, n, requests, seconds uint32) time.Duration {
	period := time.Duration(seconds) * time.Second
	cost := time.Duration(math.Ceil(float64(n) / float64(requests) * float64(period)))
	return max(time.Microsecond, reset+time.Microsecond+cost-period)
}
