package api

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
)

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
	parsed, err := jwks.Parse(token)
	if err != nil {
		return who
	}
	noteCaller(r.Context(), p)
	kid := parsed.KID
	who.Key, who.Holds = kid.String(), func() bool { // an expired key leaves the published set, too
		home, ok := a.publisher.Set(authz.Home)
		if ok {
			_, ok = home.Lookup(kid)
		}
		return ok
	}
	return who
}

// readersAgain is the Retry-After, in seconds, for a reader without a place. Followers poll
// meanwhile.
const readersAgain = "15"

// turnedAway counts and logs readers that found no place at the change stream.
type turnedAway struct {
	total  *prometheus.CounterVec
	warned logs.Throttle // by workspace
}

func newTurnedAway(metrics prometheus.Registerer) *turnedAway {
	t := &turnedAway{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_change_stream_turned_away_total",
			Help: "Readers for whom the change stream had no place, by workspace and by what was full: address, workspace or server.",
		}, []string{"workspace", "full"}),
	}
	metrics.MustRegister(t.total)
	return t
}

// note records a refused reader. The workspace must exist.
func (t *turnedAway) note(log *slog.Logger, r *http.Request, workspace string, err error) {
	full := "server"
	switch {
	case errors.Is(err, publish.ErrReadersAddress):
		full = "address"
	case errors.Is(err, publish.ErrReadersSet):
		full = "workspace"
	}
	t.total.WithLabelValues(workspace, full).Inc()
	t.warned.For(log, workspace).WarnContext(r.Context(), "readers of the change stream are turned away; followers poll instead, "+
		"and a key of the scope gateway gets a reserved place",
		"workspace", workspace, "full", full, "from", clientaddr.Network(r.RemoteAddr))
}

// noPlace returns the problem for a reader that found no place.
func noPlace(err error) *Problem {
	p := newProblem(http.StatusServiceUnavailable, "The change stream has too many readers.")
	if errors.Is(err, publish.ErrReadersAddress) {
		p = newProblem(http.StatusTooManyRequests, "The change stream has too many readers from this address.")
	}
	// The connection is closed, since open connections are limited by address, too.
	return p.with("Retry-After", readersAgain).with("Connection", "close")
}
