package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/traces"
	"github.com/burnkey/burnkey/jwks"
)

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	create := promauto.With(r)
	return &metrics{
		requests: create.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_http_requests_total", Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "code"}),
		duration: create.NewHistogramVec(prometheus.HistogramOpts{
			Name: "burnkey_http_request_duration_seconds", Help: "Time to answer requests, by route.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2.5, 12),
		}, []string{"route"}),
	}
}

// visit is a request in progress.
type visit struct {
	id     string
	start  time.Time
	caller string // the management key's id
}

// begin names and times a request.
func begin(c echo.Context) *visit {
	v := &visit{id: nameOf(c.Request()), start: time.Now()}
	c.Response().Header()[echo.HeaderXRequestID] = []string{v.id}
	return v
}

// enter adds the visit to the request's context. This copies the request.
func (v *visit) enter(c echo.Context) {
	r := c.Request()
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
}

type visitKey struct{}

func requestID(ctx context.Context) string {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		return v.id
	}
	return ""
}

func noteCaller(ctx context.Context, p *authz.Principal) {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		v.caller = p.KeyID.String()
	}
}

// observe gives each request an id, and counts, times and logs it. It logs the route, not the path, which could
// contain a token.
func (a *api) observe(m *metrics, route func(echo.Context) (route, workspace string)) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			v := begin(c)
			v.enter(c)
			if err := next(c); err != nil {
				c.Error(err)
			}
			path, workspace := route(c)
			a.note(m, c, v, path, workspaceOf(workspace))
			return nil
		}
	}
}

func routed(c echo.Context) (route, workspace string) { return cmp.Or(c.Path(), "none"), c.Param("ws") }

// note records an answered request in the metrics and in the log.
func (a *api) note(m *metrics, c echo.Context, v *visit, route, workspace string) {
	r, answer, took := c.Request(), c.Response(), time.Since(v.start)
	method := methodLabel(r.Method)
	m.requests.WithLabelValues(route, method, strconv.Itoa(answer.Status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
	traces.NameRequest(r.Context(), method, route, workspace, answer.Status)
	if !a.log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	a.log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("request_id", v.id), slog.String("method", method), slog.String("route", route),
		slog.String("workspace", workspace), slog.Int("status", answer.Status),
		slog.Int64("bytes", answer.Size), slog.Duration("took", took),
		slog.String("from", clientaddr.Of(r.RemoteAddr)), slog.String("caller", v.caller))
}

// workspaceOf returns a name from a path if it is a valid workspace id, else "": another name could be a
// secret, which must not be logged.
func workspaceOf(name string) string {
	if authz.CheckWorkspaceID("ws", name) != nil {
		return ""
	}
	return name
}

// methodLabel replaces unknown methods, so that clients can't invent labels of metrics.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete,
		http.MethodPut, http.MethodOptions:
		return method
	}
	return "other"
}

// nameOf returns the request id from a proxy, if it is short and plain, or else a new id.
func nameOf(r *http.Request) string {
	id := r.Header.Get(echo.HeaderXRequestID)
	plain := len(id) >= 1 && len(id) <= 64
	for _, c := range []byte(id) {
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if plain {
		return id
	}
	return uuid.NewString()
}

var errPanic = errors.New("a handler panicked")

// recover turns a panic into an error.
func (a *api) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch r := recover(); r {
			case nil:
			case http.ErrAbortHandler:
				panic(r)
			default:
				a.log.Error("a handler panicked", "request_id", c.Response().Header().Get(echo.HeaderXRequestID), "stack", string(debug.Stack()))
				err = fmt.Errorf("%w: %T", errPanic, r)
			}
		}()
		return next(c)
	}
}

// drainLimit is how many bytes of an oversize body are read and dropped: a client that is still sending might
// otherwise not see the answer.
const drainLimit = 8 << 20

// bodyWasRead is the BodyReadTimeout of operations with a body. It makes huma remove the connection's deadline,
// which limitBody no longer needs after reading the body: a deadline would cancel the request while a key waits
// for its turn.
const bodyWasRead = -1

func maxBody(c echo.Context) int64 {
	switch {
	case c.Request().Method == http.MethodPatch && c.Path() == "/v1/workspaces/:ws":
		return maxWorkspaceBody
	case strings.HasSuffix(c.Path(), "/imports"):
		return maxImportBody
	case strings.HasSuffix(c.Path(), "/usage"):
		return maxUsageBody
	case c.Path() == jwks.FeedPath:
		return maxFeedBody
	}
	return MaxBody
}

func takesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPatch || method == http.MethodPut
}

// limitBody reads bodies of up to maxBody bytes and refuses longer ones. Methods without a body are exempt.
func limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Body == nil || r.Body == http.NoBody || !takesBody(r.Method) {
			return next(c)
		}
		most := maxBody(c)
		tooLong := &http.MaxBytesError{Limit: most}
		if r.ContentLength > most && r.Header.Get("Expect") != "" {
			return tooLong // the client has not sent it yet
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
		if int64(len(body)) > most {
			_, _ = io.CopyN(io.Discard, r.Body, drainLimit)
			c.Response().Header().Set("Connection", "close")
			return tooLong
		}
		if err != nil {
			return bodyProblem(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		// huma compares media types case-sensitively, but RFC 9110 section 8.3.1 makes them case-insensitive.
		kind, params, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		r.Header.Set("Content-Type", strings.TrimRight(strings.ToLower(kind)+";"+params, ";"))
		return next(c)
	}
}

func bodyProblem(err error) *Problem {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return newProblem(kindTimeout, "The body took too long to arrive.").field("body", "took too long")
	}
	return newProblem(kindMalformed, "The body is incomplete.").field("body", "is incomplete")
}

// plainPath decodes a path with more percent-encoding than it needs, such as %3A, which many clients write for a colon. echo does
// not decode parameters of such a path. An encoded slash is not decoded.
func plainPath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if u := c.Request().URL; !strings.Contains(strings.ToUpper(u.RawPath), "%2F") {
			u.RawPath = ""
		}
		return next(c)
	}
}
