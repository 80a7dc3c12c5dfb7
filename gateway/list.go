package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	listTimeout = 30 * time.Second
	listPause   = 5 * time.Second // the longest after a failure
	pageLimit   = "1000"
	pageMax     = 32 << 20 // bytes; the audiences of one workspace may take 16 KiB
	pagesMax    = 1000
	// home is the server's own workspace. Its keys are management keys, so it is
	// followed only if Options.Workspaces contains it.
	home = "burnkey"
)

// followList keeps the roster up to date with the server's list until ctx ends. While
// the list cannot be read, the last one stays in use.
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
			timer.Reset(jitter(g.o.ListEvery))
			continue
		}
		g.listFailures.Add(1)
		if failing == nil || time.Since(logged) >= time.Minute {
			g.o.Log.WarnContext(ctx, "cannot list the workspaces; the last list stays in use", "workspaces", len(g.all()), "error", err)
			logged = time.Now()
		}
		failing = err
		timer.Reset(pauses.NextBackOff())
	}
}

// jitter returns a duration plus or minus a fifth.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }

func (g *Gateway) refreshList(ctx context.Context) error {
	list, err := g.fetchList(ctx)
	if err != nil {
		return err
	}
	if g.apply(ctx, list) {
		g.listUnsaved = true
	}
	if !g.listUnsaved {
		return nil
	}
	if err := g.writeList(list); err != nil {
		return fmt.Errorf("store the list: %w", err)
	}
	g.listUnsaved = false
	return nil
}

// fetchList returns all pages of the list. Any doubt is an error: a workspace that is
// missing from the list is no longer followed.
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
				return nil, errors.New("invalid list: the id of a workspace is invalid")
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
	return nil, fmt.Errorf("invalid list: it does not end after %d pages", pagesMax)
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
		return nil, fmt.Errorf("the server answers %d: the management key must be valid and have the scope gateway", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the server answers %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, pageMax+1))
	if err != nil {
		return nil, err
	}
	page := new(listPage)
	if len(text) > pageMax || !read(text, page) || page.Workspaces == nil {
		return nil, errors.New("invalid answer: no list of workspaces")
	}
	return page, nil
}
