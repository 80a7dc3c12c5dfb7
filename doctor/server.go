package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/jwks"
)

const (
	maxSpaces = 100    // workspaces to examine at most
	maxKeys   = 10_000 // keys to count at most in a workspace
	mostAge   = 30 * time.Second
	mostUsage = 24 * time.Hour
	parallel  = 8
)

func (e *exam) lookAtServer(ctx context.Context) {
	target := "server " + shown(e.Server)
	e.checkPlain(Warning, target, e.Server)
	if !e.checkReady(ctx, target, e.Server) {
		return
	}
	if !e.lookAtServerMetrics(ctx, target) {
		return
	}
	places, work := make(chan struct{}, parallel), sync.WaitGroup{}
	for _, workspace := range e.spaces(ctx, target) {
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			e.lookAtSet(ctx, workspace)
		})
	}
	work.Wait()
}

// checkReady reports a program that is not ready. It returns false if the program does not answer at all.
func (e *exam) checkReady(ctx context.Context, target, base string) bool {
	ready, err := e.http.send(ctx, http.MethodGet, base+"/readyz", e.Now)
	if err != nil {
		e.add("unreachable", target, "It does not answer: "+err.Error()+".")
		return false
	}
	e.checkClock(target, ready)
	if ready.status != http.StatusOK {
		e.add("not_ready", target, notReady(ready))
	}
	return true
}

// notReady says how /readyz answered. Of the address of a redirect, only the scheme and the host hold no secret.
func notReady(a *answer) string {
	if to, err := url.Parse(a.header.Get("Location")); err == nil && to.Host != "" {
		return fmt.Sprintf("/readyz answers %d and redirects to %s://%s.", a.status, to.Scheme, to.Host)
	}
	if len(a.body) == 0 {
		return fmt.Sprintf("/readyz answers %d.", a.status)
	}
	return fmt.Sprintf("/readyz answers %d: %s", a.status, a.body)
}

// lookAtServerMetrics returns false if the metrics are those of another program.
func (e *exam) lookAtServerMetrics(ctx context.Context, target string) bool {
	m, err := e.metrics(ctx, e.Server)
	if err != nil {
		return true // a proxy may rightly hide them
	}
	if !m.have("burnkey_publish_") {
		e.add("unreachable", target, "It is not a burnkey server: it has no metric that begins with burnkey_publish_.")
		return false
	}
	if version := m.version(); version != "" {
		e.noteVersion(target, version)
	}
	if n := m.value("burnkey_workspaces_damaged", "", ""); n > 0 {
		e.add("workspace_damaged", target, fmt.Sprintf("The sets of %g workspaces are corrupt.", n))
	}
	if n := m.value("burnkey_publish_divergences_total", "", ""); n > 0 {
		e.add("diverged", target, fmt.Sprintf("%g times, a published set was not what the database had.", n))
	}
	if age := m.value("burnkey_publish_age_seconds", "", ""); age > mostAge.Seconds() {
		e.add("set_stale", target, fmt.Sprintf("Its sets were last compared with the database %.0f s ago.", age))
	}
	return true
}

// spaces returns the workspaces to examine. With a key it also looks at what only the management API shows.
func (e *exam) spaces(ctx context.Context, target string) []string {
	if e.Key == nil {
		return orHome(e.Workspaces)
	}
	c, err := client.New(client.Options{Server: e.Server, Key: e.Key, HTTP: e.http.client})
	if err != nil {
		e.add("management_key", target, err.Error())
		return orHome(e.Workspaces)
	}
	var names []string
	for w, err := range c.Workspaces().All(ctx) {
		if err != nil {
			e.reportCall(target, err)
			break
		}
		if len(names) == maxSpaces {
			break
		}
		if len(e.Workspaces) > 0 && !slices.Contains(e.Workspaces, w.ID) {
			continue
		}
		names = append(names, w.ID)
		if w.ID != jwks.HomeWorkspace {
			e.checkUsage(w)
			e.countEndless(ctx, c, w.ID)
		}
	}
	for _, name := range e.Workspaces { // also if they don't exist
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return orHome(names)
}

func orHome(names []string) []string {
	if len(names) == 0 {
		return []string{jwks.HomeWorkspace}
	}
	return names
}

func (e *exam) reportCall(target string, err error) {
	if problem := new(client.Problem); errors.As(err, &problem) {
		e.add("management_key", target, fmt.Sprintf("The server answers %d to the management key.", problem.Status))
		return
	}
	e.add("management_key", target, "The management key can't be used: "+err.Error()+".")
}

func (e *exam) checkUsage(w client.Workspace) {
	target := "workspace " + w.ID
	switch {
	case w.UsageUntil == nil:
		e.add("usage_unknown", target, "The use of its keys is not reported.")
	case e.Now().Sub(*w.UsageUntil) > mostUsage:
		e.add("usage_old", target, "The use of its keys is known only until "+w.UsageUntil.UTC().Format(time.RFC3339)+".")
	}
}

// countEndless counts the keys that never expire, among the newest.
func (e *exam) countEndless(ctx context.Context, c *client.Client, workspace string) {
	endless, seen := 0, 0
	for k, err := range c.Keys(workspace, client.KeyFilter{Status: "active"}).All(ctx) {
		if err != nil {
			e.reportCall("workspace "+workspace, err)
			return
		}
		if k.ExpiresAt == nil {
			endless++
		}
		if seen++; seen == maxKeys {
			break
		}
	}
	if endless > 0 {
		e.add("keys_without_end", "workspace "+workspace, fmt.Sprintf("%d of %d active keys that were looked at never expire.", endless, seen))
	}
}

// lookAtSet examines the metadata and the published set of a workspace.
func (e *exam) lookAtSet(ctx context.Context, workspace string) {
	target := "workspace " + workspace
	issuer := e.Server + jwks.IssuerPath + url.PathEscape(workspace)
	a, err := e.fetch(ctx, issuer+"/.well-known/openid-configuration")
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err == nil && json.Unmarshal(a.body, &metadata) != nil {
		err = errors.New("the answer is not JSON")
	}
	if err != nil {
		e.add("unreachable", target, "Its openid-configuration can't be read: "+err.Error()+".")
		return
	}
	if want := e.PublicURL + jwks.IssuerPath + workspace; metadata.Issuer != want {
		e.add("public_url", target, "Its issuer is "+shown(metadata.Issuer)+", but it was asked at "+shown(want)+".")
	}
	e.checkPlain(Warning, "jwks_uri of "+workspace, metadata.JWKSURI)
	e.measure(ctx, target, issuer+jwks.SetPath, e.http)
	if metadata.JWKSURI != issuer+jwks.SetPath {
		e.checkURI(ctx, "jwks_uri of "+workspace, metadata.JWKSURI)
	}
}

// guarded returns a client for addresses that a program named, not the user.
func (e *exam) guarded(origin string) prober {
	u, err := url.Parse(origin)
	return prober{outbound.New(outbound.Options{Local: err == nil && outbound.IsLoopback(u), Timeout: probeTimeout})}
}

// checkURI reports a jwks_uri that does not answer. The server chose the address.
func (e *exam) checkURI(ctx context.Context, target, uri string) {
	a, err := e.guarded(e.Server).send(ctx, http.MethodHead, uri, e.Now)
	if errors.Is(err, outbound.ErrPlain) || errors.Is(err, outbound.ErrAddress) {
		return // can't be tried
	}
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("the answer is %d", a.status)
	}
	if err != nil {
		e.add("unreachable", target, shown(uri)+" can't be fetched: "+err.Error()+".")
	}
}

// caps are the limits of verifiers, in bytes or keys (see docs/howto/libraries/index.md).
var caps = []struct {
	bytes int64
	name  string
}{
	{51_200, "Nimbus without Spring (51,200 bytes)"},
	{256 << 10, "Spring's reactive stack (256 KiB)"},
	{512 << 10, "jose4j (512 KiB)"},
	{1 << 20, "mod_auth_openidc (1 MiB)"},
	{32 << 20, "Envoy with its default buffer (32 MiB)"},
}

// measure reads the age and the size of a set from its headers.
func (e *exam) measure(ctx context.Context, target, uri string, p prober) {
	a, err := p.send(ctx, http.MethodHead, uri, e.Now)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("the answer is %d", a.status)
	}
	if err != nil {
		e.add("unreachable", target, "Its set can't be fetched: "+err.Error()+".")
		return
	}
	if age, err := strconv.Atoi(a.header.Get("Age")); err == nil && time.Duration(age)*time.Second > mostAge {
		e.add("set_stale", target, fmt.Sprintf("Its set was last known to be current %d s ago.", age))
	}
	var refusing []string
	for _, c := range caps {
		if a.length > c.bytes {
			refusing = append(refusing, c.name)
		}
	}
	if len(refusing) > 0 {
		e.add("set_size", target, fmt.Sprintf("Its set has %d bytes, more than these read: %s.", a.length, strings.Join(refusing, ", ")))
	}
}
