package api

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/jwks"
)

// streamReader says who asks for the change stream. The call takes no credential: a
// management key of the scope gateway gets a reserved place, and any other one nothing.
func (a *api) streamReader(r *http.Request) jwks.StreamReader {
	who := jwks.StreamReader{Address: clientaddr.Network(r.RemoteAddr)}
	token, refusal := jwks.BearerToken(r.Header.Values("Authorization")...)
	if refusal != nil {
		return who
	}
	p, err := a.service.Authenticate(token)
	if err != nil || p.May(issuerOf(r, changePath), authz.ScopeGateway) != nil {
		return who
	}
	parsed, err := jwks.Parse(token)
	if err != nil {
		return who
	}
	noteCaller(r.Context(), p)
	kid := parsed.KID
	who.Key, who.Holds = kid.String(), func() bool { // once its time is over it is published no more
		home, ok := a.publisher.Set(authz.Home)
		if ok {
			_, ok = home.Lookup(kid)
		}
		return ok
	}
	return who
}

// readersAgain is how long a reader without a place should wait, in seconds. Followers
// poll meanwhile.
const readersAgain = "15"

// turnAwayEvery is how often it is logged of one workspace that readers are turned away.
const turnAwayEvery = time.Minute

// turnedAway counts and logs the readers for whom the change stream has no place.
type turnedAway struct {
	total *prometheus.CounterVec

	mu     sync.Mutex
	logged map[string]time.Time // by workspace, of those that there are
}

func newTurnedAway(metrics prometheus.Registerer) *turnedAway {
	t := &turnedAway{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "burnkey_change_stream_turned_away_total",
			Help: "Readers for whom the change stream had no place, by workspace and by what was full: address, workspace or server.",
		}, []string{"workspace", "full"}),
		logged: make(map[string]time.Time),
	}
	metrics.MustRegister(t.total)
	return t
}

// note is told of a reader of a workspace that there is.
func (t *turnedAway) note(log *slog.Logger, r *http.Request, workspace string, err error) {
	full := "server"
	switch {
	case errors.Is(err, jwks.ErrReadersAddress):
		full = "address"
	case errors.Is(err, jwks.ErrReadersSet):
		full = "workspace"
	}
	t.total.WithLabelValues(workspace, full).Inc()
	t.mu.Lock()
	due := time.Since(t.logged[workspace]) >= turnAwayEvery
	if due {
		t.logged[workspace] = time.Now()
	}
	t.mu.Unlock()
	if due {
		log.WarnContext(r.Context(), "readers of the change stream are turned away; followers poll instead, and a key of the scope "+
			"gateway gets a reserved place", "workspace", workspace, "full", full, "from", clientaddr.Network(r.RemoteAddr))
	}
}

// noPlace is the answer to a reader for whom there is no place.
func noPlace(err error) *Problem {
	p := newProblem(http.StatusServiceUnavailable, "The change stream has too many readers.")
	if errors.Is(err, jwks.ErrReadersAddress) {
		p = newProblem(http.StatusTooManyRequests, "The change stream has too many readers from this address.")
	}
	// The connection is not kept: its bound is an address's, too.
	return p.with("Retry-After", readersAgain).with("Connection", "close")
}
