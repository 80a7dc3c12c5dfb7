// Package api is the HTTP API of Burnkey: management, the public calls of each issuer, health and metrics.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

// MaxBody is the maximum length of a request body, in bytes.
const MaxBody = 64 << 10

// maxWorkspaceBody is MaxBody for changes of a workspace, whose body can contain a logo in base64.
const maxWorkspaceBody = MaxBody + (authz.MaxLogo+2)/3*4

// maxUsageBody is MaxBody for usage reports, which can have the limits of many keys.
const maxUsageBody = 512 << 10

// MaxAge is the Cache-Control max-age of a published key set.
const MaxAge = 5 * time.Second

// Options of the API. Service, Publisher and Metrics are required.
type Options struct {
	Service   *authz.Service
	Publisher *publish.Publisher
	// Metrics receives the API's metrics. The path /metrics shows all of this registry's metrics.
	Metrics *prometheus.Registry
	// Checks has the readiness checks by name. The server is ready if all of them pass.
	Checks map[string]Check
	// Portal serves the paths below authz.PortalPath. If nil, there is no portal.
	Portal http.Handler
	// TrustedProxies has the proxies whose X-Forwarded-For gives the client's address. Nil: there are none.
	TrustedProxies clientaddr.Proxies
	// StreamLimits bounds the readers of the change streams. Nil: the default of publish.NewStream.
	StreamLimits *publish.StreamLimits
	// Closing is closed at shutdown, which ends the change streams. Nil: they never end.
	Closing <-chan struct{}
	// Log receives a line for each request, and the errors of failed ones. Nil: discarded.
	Log *slog.Logger
	// Version of the program, for the OpenAPI document.
	Version string
}

// Check returns nil if the server is ready, or an error that is shown to clients.
type Check func(context.Context) error

type api struct {
	service   *authz.Service
	publisher *publish.Publisher
	checks    map[string]Check
	closing   <-chan struct{}
	log       *slog.Logger
	openapi   []byte
	publicURL string
	// sayMoved logs, once, that a caller's key was issued under another public URL.
	sayMoved     func()
	streamLimits *publish.StreamLimits
	turnedAway   *turnedAway
}

// New returns the handler of every path.
func New(o Options) (http.Handler, error) {
	e, _, err := build(o)
	return e, err
}

// build returns the handler and its OpenAPI document.
func build(o Options) (*echo.Echo, *huma.OpenAPI, error) {
	a := &api{service: o.Service, publisher: o.Publisher, checks: o.Checks, closing: o.Closing, streamLimits: o.StreamLimits}
	a.publicURL = strings.TrimSuffix(a.service.Issuer(""), jwks.IssuerPath)
	a.log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	a.sayMoved = sync.OnceFunc(func() {
		a.log.Warn("a management key was issued under another public URL; if this server's --public-url is wrong, "+
			"gateways refuse the keys that it issues", "issuer", a.service.Issuer(authz.Home))
	})
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if err := a.write(c, a.problem(c.Request().Context(), err)); err != nil {
			a.log.Debug("an answer was not sent", "error", err)
		}
	}
	e.IPExtractor = echo.ExtractIPDirect() // echo's default trusts X-Forwarded-For from any client
	e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			o.TrustedProxies.Resolve(c.Request())
			return next(c)
		}
	})
	e.Pre(plainPath)
	e.Pre(forAnyOrigin)
	m := newMetrics(o.Metrics)
	e.Use(a.observe(m, routed), a.recover, limitBody)

	h := humaecho.New(e, a.config(o.Version))
	h.UseMiddleware(a.authorize(h), a.checkOnce(h))
	a.workspaces(h)
	a.keys(h)
	a.imports(h)
	a.plans(h)
	a.sharedLimits(h)
	a.requests(h)
	a.usage(h)
	a.feedSet(h)
	a.introspection(h)
	a.portalSessions(h)
	a.audit(h)
	heads(e, h)
	e.Pre(a.sets(a.public(e, h), m))
	if o.Portal != nil {
		e.Pre(a.portal(o.Portal, m))
	}
	a.changes(e, h, o.Metrics)
	a.system(e, h, o.Metrics)
	a.docs(e, h)

	setLimits(h)
	if err := describeOperations(h.OpenAPI()); err != nil {
		return nil, nil, err
	}
	var err error
	if a.openapi, err = json.Marshal(h.OpenAPI()); err != nil {
		return nil, nil, fmt.Errorf("render the OpenAPI document: %w", err)
	}
	return e, h.OpenAPI(), nil
}

func (a *api) config(version string) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Burnkey", Version: version,
				Description: "API keys as RS256 JWTs, each signed by a key pair of its own whose private half is destroyed at once.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{managementKey: {
					Type: "http", Scheme: "bearer", BearerFormat: "JWT",
					Description: "A key of the workspace burnkey, with the scopes named; claims.workspace ties it to one workspace.",
				}, clientSecret: {
					Type: "http", Scheme: "basic", Description: "The same as the password, for OAuth clients; the user name is ignored.",
				}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers: []huma.Transformer{func(_ huma.Context, _ string, v any) (any, error) {
			if p, ok := v.(*Problem); ok {
				return a.typed(p), nil
			}
			return v, nil
		}},
	}
}

// system adds the calls for monitoring.
func (a *api) system(e *echo.Echo, h huma.API, metrics prometheus.Gatherer) {
	shown := echo.WrapHandler(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	openapi := func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/vnd.oai.openapi+json;version=3.1", a.openapi)
	}
	readable(e, h, isHealthy, "healthz", "/healthz", "Whether the process lives", answers{200: status})
	readable(e, h, a.isReady, "readyz", "/readyz", "Whether the server wants requests",
		answers{200: status, 400: problem, 503: problem},
		optional("exclude", "query", "A check to leave out: database, for readers of published sets"))
	readable(e, h, shown, "metrics", "/metrics", "Prometheus metrics", answers{200: text})
	readable(e, h, openapi, "openapi", openapiPath, "This document", answers{200: anyObject})
}

func isHealthy(c echo.Context) error { return c.JSON(http.StatusOK, Status{"ok"}) }

// isReady runs the checks, in the order of their names.
func (a *api) isReady(c echo.Context) error {
	exclude := c.QueryParams()["exclude"]
	for _, name := range exclude {
		if a.checks[name] == nil {
			return newProblem(kindMalformed, "There is no such check.").field("exclude", "must be the name of a check")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.checks)) {
		if slices.Contains(exclude, name) {
			continue
		}
		if err := a.checks[name](c.Request().Context()); err != nil {
			return unavailable(kindNotReady, sentence(err))
		}
	}
	return isHealthy(c)
}
