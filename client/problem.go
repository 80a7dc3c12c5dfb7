package client

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is an answer other than success (RFC 9457). One that is not Burnkey's, such as a proxy's, has no Detail.
type Problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	Errors []Fault `json:"errors"`
	// Code tells problems with the same status apart, such as idempotency_key_reused.
	Code string `json:"code"`
	// KeyID is the key issued earlier with the same Idempotency-Key, or the successor of a rotated key.
	KeyID string `json:"key_id"`

	// RequestID names the request in the server's log.
	RequestID string `json:"-"`
	// RetryAfter is when to try again; 0 if the server does not say.
	RetryAfter time.Duration `json:"-"`
}

// Fault is what is wrong with one field of the input. Code names the rule, for programs; not every fault has one.
type Fault struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Error returns the detail and the status, and a line for each fault.
func (p *Problem) Error() string {
	status := strconv.Itoa(p.Status) + " " + http.StatusText(p.Status)
	if p.Detail == "" {
		return "the server answered " + status
	}
	lines := []string{p.Detail + " (" + status + ")"}
	for _, fault := range p.Errors {
		lines = append(lines, "  "+fault.Field+": "+fault.Detail)
	}
	return strings.Join(lines, "\n")
}

// ProblemOf returns an answer other than success as a Problem. Its body is text.
func ProblemOf(response *http.Response, text []byte) *Problem {
	p := new(Problem)
	if json.Unmarshal(text, p) != nil || p.Detail == "" {
		*p = Problem{Type: "about:blank", Title: http.StatusText(response.StatusCode)}
	}
	p.Status, p.RequestID = response.StatusCode, response.Header.Get("X-Request-Id")
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 31); err == nil {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}
