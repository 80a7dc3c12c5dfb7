// Package authz decides who may manage which workspace, what a key may contain, and when it is issued and
// revoked. It knows neither HTTP nor SQL.
package authz

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/internal/pace"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

// Errors of a Service, for errors.Is. Invalid input is an InputError, and a reused idempotency key a
// *store.IdempotencyError. If a caller loses its rights during a call, Ended returns the error.
var (
	ErrNotFound        = store.ErrNotFound
	ErrExists          = store.ErrExists
	ErrNotActive       = store.ErrNotActive
	ErrTooMany         = store.ErrTooMany
	ErrBusy            = mint.ErrBusy
	ErrUnauthenticated = errors.New("no valid management key")
	ErrForbidden       = errors.New("the management key does not permit this")
	ErrTooSlow         = errors.New("the search took too long")
	ErrNoSession       = errors.New("no such session")
)

// Minter makes keys; *mint.Minter implements it.
type Minter interface {
	Mint(ctx context.Context, asker mint.Asker, claims func() (mint.Claims, error)) (mint.Minted, error)
}

// Options of a Service. Store, Minter, Publisher and PublicURL are required.
type Options struct {
	Store     store.Store
	Minter    Minter
	Publisher *publish.Publisher
	// PublicURL is the address of the server for clients. Every iss begins with it.
	PublicURL string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log receives warnings, and Metrics the Service's own metrics. Nil: discarded.
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// NewID makes key ids; nil means UUIDv7.
	NewID func() (uuid.UUID, error)
	// Pepper is the key of the HMAC-SHA-256 of imported keys, as burnkey gateway has it. Empty: such keys are not found.
	Pepper []byte
}

// Service is the domain: workspaces, keys, and who may manage them. It is safe for concurrent use.
type Service struct {
	store     store.Store
	minter    Minter
	publisher *publish.Publisher
	publicURL string
	pepper    []byte
	now       func() time.Time
	newID     func() (uuid.UUID, error)
	reads     *reads
	removals  *reads                    // reads for revocations, which searches must not delay
	due       chan struct{}             // wakes Reap
	nextDue   atomic.Pointer[time.Time] // as last read by ReapDue
	updates   atomic.Uint64             // number of updates of workspaces
	refusals  pace.Limiter              // limits those recorded in the audit
	budgets   pace.Limiter              // limits each caller's changes
	running   running
	conflicts conflicts
	shifts    shifts
	exchanges *exchanges
	uses      uses
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{
		store: o.Store, minter: o.Minter, publisher: o.Publisher,
		publicURL: strings.TrimRight(o.PublicURL, "/"), now: o.Now, newID: o.NewID, pepper: o.Pepper,
		due: make(chan struct{}, 1),
	}
	s.publisher.OnChange(Home, s.homeChanged)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	atOnce := max(2, runtime.GOMAXPROCS(0)) // leaves half of SQLite's read connections to others
	s.reads = newReads(atOnce, "reads", o.Store.Standing, o.Log, o.Metrics)
	s.removals = newReads(2, "removal_reads", o.Store.Standing, o.Log, o.Metrics)
	s.shifts.wake = make(chan struct{}, 1)
	s.exchanges = newExchanges(o.Metrics, s.signingKeys)
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = uuid.NewV7
	}
	return s
}

// Issuer returns the iss of a workspace's tokens, which is also the base URL of its public calls.
func (s *Service) Issuer(workspace string) string { return s.publicURL + jwks.IssuerPath + workspace }

// Now returns the time in UTC, to the microsecond, as the store stores it.
func (s *Service) Now() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// busyFor is the Retry-After when there is no better estimate.
const busyFor = time.Second

// RetryAfter returns how long a caller should wait after ErrBusy, at least a second.
func RetryAfter(err error) time.Duration {
	var busy *mint.BusyError
	if errors.As(err, &busy) {
		return max(busy.RetryAfter, busyFor)
	}
	return busyFor
}

// settleTimeout bounds a write that must be finished even if the client disconnects.
const settleTimeout = 15 * time.Second

// settle returns a context that outlives the client's connection, for a change that must not be left half done.
func settle(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}
