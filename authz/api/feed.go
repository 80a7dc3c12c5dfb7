package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

const (
	feedID = "feed"
	// maxFeedBody is MaxBody for requests of the feed, which can name all workspaces.
	maxFeedBody = 4 << 20
	// maxFeedNames is the number of workspaces that a request of the feed can name.
	maxFeedNames = 20000
)

// FeedPosition is what a reader of the feed has, and what it asks for.
type FeedPosition struct {
	After map[string]string `json:"after,omitempty" doc:"Versions and fingerprints that the reader has, by workspace: 17.FINGERPRINT"`
	//nolint:lll // a tag cannot be broken
	Workspaces []string `json:"workspaces,omitempty" maxItems:"20000" doc:"The workspaces to follow; default: all that the key may see, also those made later"`
	Heartbeat  float64  `json:"heartbeat,omitempty" minimum:"0" maximum:"3600" doc:"The longest silence, in seconds: 0.5 to 5; default and most 5"`
}

// streamed is an answer that is written by a function.
type streamed struct{ Body func(huma.Context) }

// feedSet adds the call of a whole set of the feed.
func (a *api) feedSet(h huma.API) {
	register(a, h, call{
		id: "feed-set", route: "GET /v1/workspaces/{ws}/feed", summary: "A published set with attributes and limits",
		scopes: []string{authz.ScopeGateway}, content: "application/json",
		description: "For gateways that follow the feed: the members keys, set (attributes by kid) and limits. The headers Burnkey-Version and " +
			"Burnkey-Fingerprint identify it.",
	}, func(_ context.Context, in *WSPath) (*streamed, error) {
		set, ok := a.publisher.Set(in.WS)
		if !ok {
			return nil, a.noSet(in.WS)
		}
		return &streamed{func(ctx huma.Context) {
			c := humaecho.Unwrap(ctx)
			publish.ServeFeedSet(c.Response(), c.Request(), set)
		}}, nil
	})
}

// feed adds the feed, whose readers share the places of the change streams.
func (a *api) feed(h huma.API, stream *publish.Stream) {
	feed := &publish.Feed{Publisher: a.publisher, Stream: stream}
	register(a, h, call{
		id: feedID, route: "POST " + jwks.FeedPath, summary: "The changes of all workspaces with attributes and limits, as Server-Sent Events",
		scopes: []string{authz.ScopeGateway}, content: jwks.StreamType,
		description: "One stream for all workspaces that the key may see. Events: set (a whole set), reset (fetch the whole set), change, gone " +
			"(no such workspace) and age (a workspace that lags). Comments are heartbeats.",
	}, func(ctx context.Context, in *struct{ Body FeedPosition }) (*streamed, error) {
		request, err := a.feedRequest(ctx, &in.Body)
		if err != nil {
			return nil, err
		}
		return &streamed{func(ctx huma.Context) {
			c := humaecho.Unwrap(ctx)
			if err := feed.Serve(c.Response(), c.Request().WithContext(ctx.Context()), request); err != nil {
				a.refuseFeed(c.Response(), c.Request(), err)
			}
		}}, nil
	})
}

func (a *api) feedRequest(ctx context.Context, in *FeedPosition) (publish.FeedRequest, error) {
	p := principal(ctx)
	request := publish.FeedRequest{
		Heartbeat: time.Duration(in.Heartbeat * float64(time.Second)), After: make(map[string]publish.FeedPosition, len(in.After)),
		Reader: a.keyReader(p),
		May: func(workspace string) bool {
			return workspace != authz.Home && p.May(workspace, authz.ScopeGateway) == nil
		},
	}
	var bad authz.InputError
	if len(in.After) > maxFeedNames {
		bad.Add("after", authz.RuleTooMany, "max", strconv.Itoa(maxFeedNames))
	}
	for workspace, text := range in.After {
		at, ok := readFeedPosition(text)
		if !ok {
			bad.Add("after."+clip(workspace), authz.RuleMalformed)
			break
		}
		request.After[workspace] = at
	}
	if in.Workspaces != nil {
		request.Workspaces = make(map[string]bool, len(in.Workspaces))
	}
	for i, workspace := range in.Workspaces {
		if err := authz.CheckWorkspaceID(fmt.Sprintf("workspaces[%d]", i), workspace); err != nil {
			return request, err
		}
		if !request.May(workspace) {
			return request, fmt.Errorf("%w: it may not follow the workspace %s", authz.ErrForbidden, workspace)
		}
		request.Workspaces[workspace] = true
	}
	if len(bad) > 0 {
		return request, bad
	}
	return request, nil
}

// readFeedPosition reads a version and a fingerprint, separated by a dot.
func readFeedPosition(text string) (publish.FeedPosition, bool) {
	digits, print, _ := strings.Cut(text, ".")
	version, err := strconv.ParseUint(digits, 10, 63)
	return publish.FeedPosition{Version: version, Print: print}, err == nil && version > 0 && len(print) == jwks.KIDTextLen
}

// keyReader returns a reader of streams with a place reserved for a management key.
func (a *api) keyReader(p *authz.Principal) publish.StreamReader {
	return publish.StreamReader{Key: p.KID.String(), Holds: func() bool { // an expired key leaves the published set, too
		home, ok := a.publisher.Set(authz.Home)
		if ok {
			_, ok = home.Lookup(p.KID)
		}
		return ok
	}}
}

// refuseFeed answers a reader that gets no feed.
func (a *api) refuseFeed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, publish.ErrReaders) {
		a.log.WarnContext(r.Context(), "a reader of the feed is turned away: all places for its key, or all reserved places, are taken",
			"from", clientaddr.Network(r.RemoteAddr))
		a.writeProblem(w, newProblem(kindReaders, "The feed has too many readers.").with("Retry-After", readersRetryAfter))
		return
	}
	a.writeProblem(w, a.problem(r.Context(), err))
}
