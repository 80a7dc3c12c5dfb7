package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/internal/atomicfile"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
)

const (
	listTimeout = 30 * time.Second
	listRetry   = 500 * time.Millisecond
	listPause   = 5 * time.Second // the longest after a failure
)

// followList updates the roster from the server's list until ctx ends. If the list cannot be read, the last
// list stays in use.
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

// fetchList returns all pages of the list. An incomplete or doubtful list is an error, since the Gateway stops
// following workspaces that are missing from it.
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

// isStatus reports whether err is a Problem with one of the statuses.
func isStatus(err error, statuses ...int) bool {
	var answer *client.Problem
	return errors.As(err, &answer) && slices.Contains(statuses, answer.Status)
}

const listFile = "workspaces.json"

// savedList is the list stored in StateDir. It is valid only for the server that it names.
type savedList struct {
	Server     string   `json:"server"`
	Workspaces []string `json:"workspaces"`
}

// readList returns the stored list, or nil if there is no valid list.
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
	invalid := func(id string) bool { return !workspaceID.MatchString(id) }
	if !read(text, &saved) || saved.Server != g.o.Server || saved.Workspaces == nil || slices.ContainsFunc(saved.Workspaces, invalid) {
		g.o.Log.Warn("ignoring the stored list of workspaces: it is corrupt or of another server", "file", file)
		return nil, nil
	}
	return saved.Workspaces, nil
}

// writeList atomically stores a list for the next start.
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
