package e2e_test

import (
	"fmt"
	"testing"
	"time"
)

// A clientRun is a running client with its workspace.
type clientRun struct {
	t *testing.T
	m *matrix
	candidate
	*record
	setting, workspace string
	key                key // accepted once
	judge              judge
	stop               func()
}

func (c *clientRun) again(part string) *clientRun { return c.m.open(c.t, c.candidate, c.setting, part) }

// problem notes the first failure of a client.
func (c *clientRun) problem(format string, args ...any) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.Problem == "" {
		c.Problem = fmt.Sprintf(format, args...)
		c.t.Logf("%s, %s: %s", c.name, c.setting, c.Problem)
	}
}

// returning is the time within which a client must have the current set after an outage.
const returning = 6 * time.Second

// promised reports whether the page promises what this run measures.
func (c *clientRun) promised() bool { return c.setting == "page" && c.cannot == "" }

// patience is how long to wait for the refusal of a revoked key.
func (c *clientRun) patience() time.Duration {
	if c.setting == "page" {
		return c.promise() + 2*c.m.slack
	}
	return c.m.wait
}

func (c *clientRun) promise() time.Duration {
	if c.within != 0 {
		return c.within
	}
	return 5 * time.Second
}

// keep checks a span against a promise, with some slack.
func (c *clientRun) keep(s *span, promise time.Duration, what string) *span {
	if c.promised() && (s.Over || s.Seconds > (promise+c.m.slack).Seconds()) {
		c.problem("%s not within %s: %+v", what, promise, *s)
	}
	return s
}

// life issues a key, waits until it is accepted, revokes it, and waits until it is refused.
func (c *clientRun) life() {
	defer c.stop()
	fresh, err := c.m.admin.issue(c.workspace, map[string]any{"owner": "cust_2"})
	if err != nil {
		c.problem("issue: %v", err)
		return
	}
	c.NewKey = c.keep(until(c.judge, fresh.Token, true, newKeyPatience), 5*time.Second, "a new key is accepted")
	kept := c.key
	if c.NewKey.Over {
		fresh, kept = c.key, key{} // the client knows the first key alone
	}
	if _, err := c.m.admin.revoke(c.workspace, fresh.ID); err != nil {
		c.problem("revoke: %v", err)
		return
	}
	c.Revoked = c.keep(until(c.judge, fresh.Token, false, c.patience()), c.promise(), "a revoked key is refused")
	if reason := c.ask(kept); reason != "" {
		c.problem("a good key is refused after another was revoked: %s", reason)
	}
}

// ask returns why a key is refused. No key is accepted.
func (c *clientRun) ask(k key) string {
	if k.Token == "" {
		return ""
	}
	return c.judge.judge(k.Token)
}

// outage cuts the client off, revokes a key meanwhile, and lets the client return.
func (c *clientRun) outage() {
	defer c.stop()
	late, err := c.m.admin.issue(c.workspace, map[string]any{"owner": "cust_2"})
	if err != nil {
		c.problem("issue: %v", err)
		return
	}
	known := !until(c.judge, late.Token, true, newKeyPatience).Over
	c.m.front.leave(c.workspace)
	if _, err := c.m.admin.revoke(c.workspace, late.ID); err != nil {
		c.problem("revoke: %v", err)
	}
	c.Away = until(c.judge, c.key.Token, false, c.patience())
	if c.promised() && c.Away.Over != c.keeps {
		c.problem("while the server is away: kept %v, want %v (%+v)", c.Away.Over, c.keeps, *c.Away)
	}
	c.m.front.comeBack(c.workspace)
	c.Back = c.keep(until(c.judge, c.key.Token, true, newKeyPatience), returning, "a good key is accepted after an outage")
	if known && c.setting == "page" {
		c.Late = c.keep(until(c.judge, late.Token, false, c.patience()), max(returning, c.promise()), "a key revoked in an outage is refused")
	}
}

// forge sends tokens with forged kids and counts the fetches.
func (c *clientRun) forge(n int) {
	before := c.m.front.fetches(c.workspace)
	for range n {
		if c.judge.judge(c.m.forgery(c.workspace)) == "" {
			c.problem("a forged token is accepted")
		}
	}
	c.Forged = c.m.front.fetches(c.workspace) - before
}

// sizes finds the largest set that the client loads.
func (c *clientRun) sizes() {
	for _, n := range clientsSizes {
		judge, stop, err := c.open(c.t, c.m, c.m.sets[n].Workspace, c.setting)
		if err != nil {
			c.problem("%v", err)
			return
		}
		s := until(judge, c.m.sets[n].Token, true, 10*time.Second)
		stop()
		if s.Over {
			break
		}
		c.Largest = n
	}
	if want := c.wantLargest(); c.promised() && c.Largest != want {
		c.problem("loads sets up to %d keys, want %d", c.Largest, want)
	}
}

func (c *clientRun) wantLargest() int {
	if c.largest != 0 {
		return c.largest
	}
	return clientsSizes[len(clientsSizes)-1]
}
