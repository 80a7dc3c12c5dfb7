package api

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

var events = answer{jwks.StreamType, func(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }}

// changes adds the change stream and the feed.
func (a *api) changes(e *echo.Echo, h huma.API, metrics prometheus.Registerer) {
	stream := publish.NewStream(
		func(r *http.Request) (*publish.Index, bool) { return a.publisher.Index(issuerOf(r, jwks.ChangesPath)) },
		func(r *http.Request, after uint64, limit int) ([]jwks.Change, error) {
			changes, err := a.publisher.Changes(r.Context(), issuerOf(r, jwks.ChangesPath), after, limit)
			// If the next change was compacted or is corrupt, the reader has to fetch the whole set.
			if errors.Is(err, store.ErrCompacted) || errors.Is(err, store.ErrDamaged) {
				return nil, publish.ErrTooOld
			}
			return changes, err
		},
	)
	stream.Age, stream.Closing, stream.Refuse = a.ageOf(jwks.ChangesPath), a.closing, a.refuseReader
	stream.Who = a.streamReader
	if a.streamLimits != nil {
		stream.Limits = *a.streamLimits
	}
	a.turnedAway = newTurnedAway(metrics)
	gauges := promauto.With(metrics)
	gauges.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "burnkey_change_stream_readers", Help: "Readers of the change streams.",
	}, func() float64 { return float64(stream.Readers()) })
	gauges.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "burnkey_change_stream_reserved_readers", Help: "Readers of the change streams in places reserved for keys with the scope gateway.",
	}, func() float64 { return float64(stream.Reserved()) })
	gauges.NewCounterFunc(prometheus.CounterOpts{
		Name: "burnkey_change_stream_dropped_total", Help: "Readers dropped because they did not read what was sent.",
	}, func() float64 { return float64(stream.Dropped()) })
	a.feed(h, stream, metrics)
	e.GET(jwks.IssuerPath+":ws"+jwks.ChangesPath, echo.WrapHandler(stream))
	document(h, http.MethodGet, "changes", jwks.IssuerPath+"{ws}"+jwks.ChangesPath,
		"The changes of the published set, as Server-Sent Events: change, or reset when the set must be fetched again",
		answers{200: events, 400: problem, 404: problem, 429: problem, 503: problem}, inWorkspace,
		optional("after", "query", "The version after which to continue; default 0"),
		optional("heartbeat", "query", "The longest silence on the stream, in seconds: 0.5 to 5; 5 for any other value. More, up to "+
			"5, where one address has over 250 readers without a key"),
		optional("Last-Event-ID", "header", "The same; sent by a client that reconnects, and preferred to after"),
		withReservedPlaces)
}

// withReservedPlaces documents that a call without a required credential accepts a management key.
func withReservedPlaces(op *huma.Operation) {
	op.Description = "No credential is required. Places are reserved for readers that send a management key with the scope gateway " +
		"(Authorization: Bearer …); an invalid key is ignored."
}

// refuseReader answers a reader that gets no change stream.
func (a *api) refuseReader(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	switch {
	case errors.Is(err, publish.ErrNoSet):
		p = a.noSet(issuerOf(r, jwks.ChangesPath))
	case errors.Is(err, publish.ErrPosition):
		p = newProblem(kindMalformed, "The position is not a version.").
			field("after", "must be a version, as must be Last-Event-ID")
	case errors.Is(err, publish.ErrBody):
		p = newProblem(kindMalformed, "The call takes no body.").field("body", "must be empty")
	case errors.Is(err, publish.ErrReaders):
		p = a.turnedAway.problem(a.log, r, issuerOf(r, jwks.ChangesPath), err)
	default:
		p = a.problem(r.Context(), err)
	}
	a.writeProblem(w, p)
}

// streamReader identifies who requests the change stream. No credential is needed: a management
// key with the scope gateway gets a reserved place, and any other key is ignored.
func (a *api) streamReader(r *http.Request) publish.StreamReader {
	who := publish.StreamReader{Address: clientaddr.Network(r.RemoteAddr)}
	token, refusal := jwks.BearerToken(r.Header.Values("Authorization")...)
	if refusal != nil {
		return who
	}
	p, err := a.service.Authenticate(token)
	if err != nil || p.May(issuerOf(r, jwks.ChangesPath), authz.ScopeGateway) != nil {
		return who
	}
	noteCaller(r.Context(), p)
	keyed := a.keyReader(p)
	keyed.Address = who.Address
	return keyed
}

// readersRetryAfter is the Retry-After, in seconds, for a reader that gets no stream. Meanwhile, it polls.
const readersRetryAfter = "15"

// turnedAway counts and logs readers that the change stream had no place for.
type turnedAway struct {
	total  *prometheus.CounterVec
	warned logs.Throttle // by workspace
}

func newTurnedAway(metrics prometheus.Registerer) *turnedAway {
	return &turnedAway{total: promauto.With(metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "burnkey_change_stream_turned_away_total",
		Help: "Readers for which the change stream had no place, by workspace and by the limit that was reached: address, workspace or server.",
	}, []string{"workspace", "full"})}
}

// problem counts and logs a refused reader of an existing workspace, or with "" of the feed, and returns the answer.
func (t *turnedAway) problem(log *slog.Logger, r *http.Request, workspace string, err error) *Problem {
	full, p := "server", newProblem(kindReaders, "The change stream has too many readers.")
	switch {
	case errors.Is(err, publish.ErrReadersAddress):
		full, p = "address", newProblem(kindAddressReaders, "The change stream has too many readers from this address.")
	case errors.Is(err, publish.ErrReadersSet):
		full = "workspace"
	}
	t.total.WithLabelValues(workspace, full).Inc()
	t.warned.For(log, workspace).WarnContext(r.Context(), "readers of the change stream are turned away; followers poll instead, "+
		"and a key with the scope gateway gets a reserved place",
		"workspace", workspace, "full", full, "from", clientaddr.Network(r.RemoteAddr))
	// The answer closes the connection, since the number of connections from an address is limited, too.
	return p.with("Retry-After", readersRetryAfter).with("Connection", "close")
}
