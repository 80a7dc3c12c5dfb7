package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/burnkey/burnkey/internal/atomicfile"
	"github.com/burnkey/burnkey/jwks"
)

const (
	listFile    = "workspaces.json"
	listTimeout = 30 * time.Second
	listPause   = 5 * time.Second // the longest after a failure
	pageLimit   = "1000"
	pageMax     = 32 << 20 // bytes; a workspace's audiences alone may take 16 KiB
	pagesMax    = 1000
	// home is the server's own workspace. Its keys open the management API, and no
	// other, unless it is named on purpose.
	home = "burnkey"
)

// followList keeps the tenants those that the server lists, until ctx ends. A list
// that does not read leaves the last good one in use.
func (g *Gateway) followList(ctx context.Context) {
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: 250 * time.Millisecond, MaxInterval: listPause / 2, Multiplier: 2, RandomizationFactor: 1,
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var failing error
	var logged time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := g.refreshList(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if failing != nil {
				g.o.Log.InfoContext(ctx, "the list of workspaces is current again", "workspaces", len(g.all()))
			}
			failing = nil
			pauses.Reset()
			timer.Reset(g.o.ListEvery*4/5 + rand.N(g.o.ListEvery*2/5+1))
			continue
		}
		g.metrics.listFailures.Inc()
		if failing == nil || time.Since(logged) >= time.Minute {
			g.o.Log.WarnContext(ctx, "cannot list the workspaces; those last known stay in use", "workspaces", len(g.all()), "err", err)
			logged = time.Now()
		}
		failing = err
		timer.Reset(pauses.NextBackOff())
	}
}

func (g *Gateway) refreshList(ctx context.Context) error {
	list, err := g.fetchList(ctx)
	if err != nil {
		return err
	}
	if g.apply(ctx, list) {
		g.unkept = true
	}
	if !g.unkept {
		return nil
	}
	if err := g.writeList(list); err != nil {
		return fmt.Errorf("keep the list: %w", err)
	}
	g.unkept = false
	return nil
}

// apply starts and stops following, and reports whether there was a change.
func (g *Gateway) apply(ctx context.Context, list []string) bool {
	have := g.all()
	next := make(map[string]*tenant, len(list))
	last := g.roster.Load()
	var begun []*tenant
	unfollowed := 0
	for _, id := range list {
		if next[id] = have[id]; next[id] != nil {
			continue
		}
		t, err := g.newTenant(id)
		if err != nil { // of a workspace that came back, the last Follower may not have ended
			g.o.Log.WarnContext(ctx, "cannot follow yet", "workspace", id, "err", err)
			delete(next, id)
			unfollowed++
			continue
		}
		next[id] = t
		begun = append(begun, t)
	}
	dropped := maps.Clone(have)
	maps.DeleteFunc(dropped, func(id string, _ *tenant) bool { return next[id] != nil })
	if last != nil && len(begun) == 0 && len(dropped) == 0 && unfollowed == last.unfollowed {
		return false
	}
	g.roster.Store(&roster{next, unfollowed})
	for _, t := range dropped {
		t.stop()
	}
	for _, t := range begun {
		g.start(ctx, t)
	}
	g.o.Log.InfoContext(ctx, "the list of workspaces has changed", "workspaces", len(next), "new", len(begun), "gone", len(dropped))
	return true
}

// fetchList asks for all pages of the list. Anything odd makes it an error: what is
// missing from a list is no longer followed.
func (g *Gateway) fetchList(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	key, err := g.o.Key()
	if err != nil {
		return nil, err
	}
	var list []string
	cursor := ""
	for range pagesMax {
		page, err := g.fetchPage(ctx, key, cursor)
		if err != nil {
			return nil, err
		}
		for _, w := range *page.Workspaces {
			if !workspaceID.MatchString(w.ID) {
				return nil, errors.New("the list names a workspace by no valid id")
			}
			if w.ID != home {
				list = append(list, w.ID)
			}
		}
		if page.NextCursor == nil {
			slices.Sort(list)
			return slices.Compact(list), nil
		}
		cursor = *page.NextCursor
	}
	return nil, fmt.Errorf("the list has no end after %d pages", pagesMax)
}

type listPage struct {
	Workspaces *[]struct {
		ID string `json:"id"`
	} `json:"workspaces"`
	NextCursor *string `json:"next_cursor"`
}

func (g *Gateway) fetchPage(ctx context.Context, key, cursor string) (*listPage, error) {
	query := url.Values{"limit": {pageLimit}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	target := strings.TrimRight(g.o.Server, "/") + "/v1/workspaces?" + query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	resp, err := g.manage(req, key)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("the server answers %d: the management key must be good and have the scope gateway", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the server answers %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, pageMax+1))
	if err != nil {
		return nil, err
	}
	page := new(listPage)
	if len(text) > pageMax || !read(text, page) || page.Workspaces == nil {
		return nil, errors.New("the server's answer is no list of workspaces")
	}
	return page, nil
}

// read unmarshals JSON from outside and reports whether it was valid and not nested too deep.
func read(text []byte, into any) bool {
	_, deep := jwks.TooDeep(text, jwks.MaxDepth)
	return !deep && json.Unmarshal(text, into) == nil
}

// manage makes a call with a management key.
func (g *Gateway) manage(req *http.Request, key string) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+key)
	// A redirect would carry the key to wherever it points.
	client := http.Client{Transport: g.client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return client.Do(req)
}

// savedList is what is kept of a list. It counts for that server alone.
type savedList struct {
	Server     string   `json:"server"`
	Workspaces []string `json:"workspaces"`
}

// readList returns the list that was kept, or nil where there is none that counts.
func (g *Gateway) readList() ([]string, error) {
	file := g.stateFile(listFile)
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var saved savedList
	bad := func(id string) bool { return !workspaceID.MatchString(id) }
	if !read(text, &saved) || saved.Server != g.o.Server || saved.Workspaces == nil || slices.ContainsFunc(saved.Workspaces, bad) {
		g.o.Log.Warn("the list of workspaces that was kept is damaged, or another server's: done without", "file", file)
		return nil, nil
	}
	return saved.Workspaces, nil
}

// writeList stores a list for the next start.
func (g *Gateway) writeList(list []string) error {
	file := g.stateFile(listFile)
	if file == "" {
		return nil
	}
	text, err := json.Marshal(savedList{g.o.Server, append([]string{}, list...)})
	if err != nil {
		return err
	}
	return atomicfile.Write(file, text)
}
