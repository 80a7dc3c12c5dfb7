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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

const (
	feedID      = "feed"
	feedSetPath = "/v1/workspaces/{ws}/feed"
	// maxFeedBody is MaxBody for requests of the feed, which can name all workspaces.
	maxFeedBody = 4 << 20
	// maxFeedNames is the number of workspaces that a request of the feed can name.
	maxFeedNames = 20000
)

// FeedPosition is what a reader of the feed has, and what it asks for.
type FeedPosition struct {
	After      map[string]string `json:"after,omitempty" doc:"Versions and fingerprints that the reader has, by workspace"`
	Workspaces []string          `json:"workspaces,omitempty" maxItems:"20000" doc:"Workspaces to follow; default: all that the key may see"`
	Heartbeat  float64           `json:"heartbeat,omitempty" minimum:"0" maximum:"3600" doc:"The longest silence, in seconds; at most 5"`
}

// streamed is an answer that is written by a function.
type streamed struct{ Body func(huma.Context) }

// FeedSet describes the whole set for the document. Package publish renders it.
type FeedSet struct {
	Keys   []JWK             `json:"keys" nullable:"false"`
	Set    map[string]object `json:"set"`
	Limits []object          `json:"limits" nullable:"false"`
	// These are absent without such keys, and if no setting differs from its default.
	Settings *object  `json:"settings,omitempty"`
	Imported []object `json:"imported,omitempty" nullable:"false"`
}

// feedSet adds the call of a whole set of the feed.
func (a *api) feedSet(h huma.API) {
	register(a, h, call{
		id: "feed-set", route: "GET " + feedSetPath, summary: "A published set with attributes and limits",
		scopes: []string{authz.ScopeGateway}, content: "application/json",
		description: "For gateways that follow the feed: the members keys, set (attributes by kid), limits, settings and imported. " +
			"The headers Burnkey-Version and Burnkey-Fingerprint identify it.",
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
	responses := h.OpenAPI().Paths[feedSetPath].Get.Responses
	responses["200"].Content["application/json"].Schema = ofType[FeedSet]("").schema(h.OpenAPI().Components.Schemas)
	responses["304"] = &huma.Response{Description: http.StatusText(http.StatusNotModified)}
}

// feed adds the feed, whose readers share the places of the change streams.
func (a *api) feed(h huma.API, stream *publish.Stream, metrics prometheus.Registerer) {
	feed := &publish.Feed{Publisher: a.publisher, Stream: stream}
	promauto.With(metrics).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "burnkey_feed_readers", Help: "Readers of the feed. They also count as readers of the change streams in reserved places.",
	}, func() float64 { return float64(feed.Readers()) })
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
			bad.Add("after."+clip(workspace), authz.RuleNotPosition)
			break
		}
		request.After[workspace] = at
	}
	if len(in.Workspaces) > 0 {
		request.Workspaces = make(map[string]bool, len(in.Workspaces))
	}
	for i, workspace := range in.Workspaces {
		if err := authz.CheckWorkspaceID(fmt.Sprintf("workspaces[%d]", i), workspace); err != nil {
			return request, err
		}
		if !request.May(workspace) {
			a.noteRefusal(ctx, workspace, feedID)
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
	_, notPrint := jwks.ParseKID(print) // both are 32 bytes
	ok := err == nil && version > 0 && digits == strconv.FormatUint(version, 10) && notPrint == nil
	return publish.FeedPosition{Version: version, Print: print}, ok
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
		a.writeProblem(w, a.turnedAway.problem(a.log, r, "", err))
		return
	}
	a.writeProblem(w, a.problem(r.Context(), authz.Ended(r.Context(), err)))
}
