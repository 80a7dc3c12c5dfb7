package api

import (
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

var events = answer{jwks.StreamType, func(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeString} }}

// changes adds the change stream.
func (a *api) changes(e *echo.Echo, h huma.API, metrics prometheus.Registerer) {
	stream := publish.NewStream(
		func(r *http.Request) (*publish.Index, bool) { return a.publisher.Index(issuerOf(r, jwks.ChangesPath)) },
		func(r *http.Request, after uint64, limit int) ([]jwks.Change, error) {
			changes, err := a.publisher.Changes(r.Context(), issuerOf(r, jwks.ChangesPath), after, limit)
			// A reader that needs a change that was compacted or is corrupt fetches the set.
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
	metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "burnkey_change_stream_readers", Help: "Readers of the change streams.",
		}, func() float64 { return float64(stream.Readers()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "burnkey_change_stream_reserved_readers", Help: "Readers of the change streams in places reserved for keys with the " +
				"scope gateway.",
		}, func() float64 { return float64(stream.Reserved()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "burnkey_change_stream_dropped_total", Help: "Readers dropped because they did not take what was sent.",
		}, func() float64 { return float64(stream.Dropped()) }),
	)
	e.GET(jwks.IssuerPath+":ws"+jwks.ChangesPath, echo.WrapHandler(stream))
	document(h, http.MethodGet, "changes", jwks.IssuerPath+"{ws}"+jwks.ChangesPath,
		"The changes of the published set, as Server-Sent Events: change, or reset when the set must be fetched anew",
		answers{200: events, 400: problem, 404: problem, 429: problem, 503: problem}, inWorkspace,
		optional("after", "query", "The version after which to continue; default 0"),
		optional("heartbeat", "query", "The longest silence on the stream, in seconds: 0.5 to 5; 5 for any other value. More, up to "+
			"5, where one address has over 250 readers without a key"),
		optional("Last-Event-ID", "header", "The same; sent by a client that reconnects, and preferred to after"),
		withReservedPlaces)
}

// withReservedPlaces documents the optional management key of a call that needs no credential.
func withReservedPlaces(op *huma.Operation) {
	op.Description = "No credential is required. Places are reserved for readers that send a management key with the scope gateway " +
		"(Authorization: Bearer …); an invalid key is ignored."
}

// refuseReader answers a reader that gets no stream.
func (a *api) refuseReader(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	switch {
	case errors.Is(err, publish.ErrNoSet):
		p = a.noSet(issuerOf(r, jwks.ChangesPath))
	case errors.Is(err, publish.ErrPosition):
		p = newProblem(http.StatusBadRequest, "The position is not a version.").
			field("after", "must be a version, as must be Last-Event-ID")
	case errors.Is(err, publish.ErrBody):
		p = newProblem(http.StatusBadRequest, "The call takes no body.").field("body", "must be empty")
	case errors.Is(err, publish.ErrReaders):
		a.turnedAway.note(a.log, r, issuerOf(r, jwks.ChangesPath), err)
		p = noPlace(err)
	default:
		p = a.problem(r.Context(), err)
	}
	a.writeProblem(w, p)
}
