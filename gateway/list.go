package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
)

const (
	listTimeout = 30 * time.Second
	listRetry   = 500 * time.Millisecond
	listPause   = 5 * time.Second // the longest after a failure
)

// followList keeps the roster up to date with the server's list until ctx ends. While
// the list cannot be read, the last one stays in use.
func (g *Gateway) followList(ctx context.Context) {
	loop.Loop{
		Every: g.o.ListEvery, Jitter: 0.2, Backoff: loop.Backoff{First: listRetry, Max: listPause},
		Failure: "cannot list the workspaces; the last list stays in use", Level: slog.LevelWarn, Log: g.o.Log,
	}.Run(ctx, func(ctx context.Context) error {
		err := g.refreshList(ctx)
		if err != nil && ctx.Err() == nil {
			g.listFailures.Add(1)
		}
		return err
	})
}

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
	var list []string
	for w, err := range g.server.Workspaces().All(ctx) {
		switch {
		case isStatus(err, http.StatusUnauthorized, http.StatusForbidden):
			return nil, fmt.Errorf("the management key must be valid and have the scope gateway: %w", err)
		case err != nil:
			return nil, err
		case !workspaceID.MatchString(w.ID):
			return nil, errors.New("invalid list: the id of a workspace is invalid")
		case w.ID != jwks.HomeWorkspace:
			list = append(list, w.ID)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// isStatus reports whether an error is an answer with one of the statuses.
func isStatus(err error, statuses ...int) bool {
	var answer *client.Problem
	return errors.As(err, &answer) && slices.Contains(statuses, answer.Status)
}
